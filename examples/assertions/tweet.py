"""A tweet that answers a question, within rules of length, hashtags and form.

Run it: python examples/assertions/tweet.py [--lm telic/tiny]
"""

from world import Task, from_command_line, questions, short_first, subject_of

import telic

LONGEST = 70


class Tweet(telic.Module):
    def __init__(self) -> None:
        self.write = telic.Predict("context, question -> answer")

    def forward(self, context: str, question: str) -> telic.Prediction:
        tweet = self.write(context=context, question=question).answer
        telic.Suggest("#" not in tweet, "No hashtags, please.", name="no hashtag")
        telic.Suggest(tweet.endswith((".", "!")) and " " in tweet, "Use a full sentence.", name="a sentence")
        subject = subject_of(question)
        telic.Suggest(subject in tweet, f"Mention {subject}.", name="names the subject")
        telic.Suggest(len(tweet) <= LONGEST, "It must be shorter.", name=f"at most {LONGEST} characters")
        return telic.Prediction(answer=tweet)


def says_it(example: telic.Example, made: telic.Prediction, trace: object = None) -> bool:
    return example.answer.lower() in made.answer.lower()


TASK = Task(Tweet, questions, says_it, short_first)

if __name__ == "__main__":
    from_command_line(TASK)
