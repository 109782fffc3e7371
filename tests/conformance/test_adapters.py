from telic.adapters import BAMLAdapter, ChatAdapter, JSONAdapter, TwoStepAdapter, XMLAdapter
from telic.testing import DummyLM
from telic.testing._adapters import AdapterConformance


class TestChatAdapter(AdapterConformance):
    make_adapter = ChatAdapter


class TestJSONAdapter(AdapterConformance):
    make_adapter = JSONAdapter


class TestXMLAdapter(AdapterConformance):
    make_adapter = XMLAdapter


class TestBAMLAdapter(AdapterConformance):
    make_adapter = BAMLAdapter


class TestTwoStepAdapter(AdapterConformance):
    def make_adapter(self):
        return TwoStepAdapter(DummyLM([{"answer": "read by the second LM"}]))
