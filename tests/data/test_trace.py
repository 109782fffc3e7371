from telic.data import Prediction, Step


def test_a_step_unpacks_as_predictor_inputs_prediction():
    predictor, inputs, prediction = Step("predictor", {"q": 1}, Prediction(a=2))

    assert (predictor, inputs, prediction) == ("predictor", {"q": 1}, Prediction(a=2))
