"""`Tap`: an LM as one call of a predictor sees it while it is streamed.

It asks the LM for its answer in pieces, tells of each what the fields have got, and returns the whole answer as the LM
would have. What the predictor's parser then reads of the answer has the last word: where it differs from what was told,
that is taken back and told anew. LMs that cannot stream, and requests for several completions, are told when they are
whole.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, final

from telic._unset import UNSET
from telic.adapters._values import value_text
from telic.context import get as setting
from telic.errors import LMResponseError, LMServerError, LMTransportError
from telic.protocols import Delta
from telic.streaming._events import FieldDelta, FieldDone, FieldText, LMDelta, ReasoningDelta, Retracted

if TYPE_CHECKING:
    from telic.adapters._deltas import DeltaReader, Deltas, Piece
    from telic.data import Prediction, Request, Response
    from telic.streaming._channel import Channel

_BROKEN_OFF: Final = (LMTransportError, LMServerError)


@final
class Tap:
    """An LM for one call of one predictor.

    Args:
        channel: Where events go.
        lm: The LM.
        deltas: How replies are read; None: only whole.
        path: The predictor's, in the program.
        predictor: The name of its signature.
        call_id: Of this call of it.
        pieces: Also tell of the pieces of the LM's replies.
    """

    def __init__(
        self,
        channel: Channel,
        lm: Any,
        deltas: Deltas | None,
        path: str,
        predictor: str,
        call_id: str,
        *,
        pieces: bool = False,
    ) -> None:
        self._pieces = pieces
        self._channel = channel
        self._lm = lm
        self._deltas = deltas
        self._path, self._predictor, self._call_id = path, predictor, call_id
        self._reader: DeltaReader | None = None
        self._texts: dict[str, FieldText] = {}
        self._done: dict[str, Any] = {}
        self._given = False  # something of the present reply was told, or at least came
        self._problem = ""
        self._asked = 0

    @property
    def model(self) -> str:
        """The LM's."""
        return self._lm.model

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """The LM's."""
        return getattr(self._lm, "kwargs", {})

    # Asking

    def complete(self, request: Request) -> Response:
        """Return the LM's answer, telling of it while it comes. Cost: one LM call."""
        self._open("reask", self._problem)
        if self._comes_whole(request):
            return self._take_whole(self._lm.complete(request))
        left = self._tries()
        while True:
            pieces = self._lm.stream(request)
            try:
                return self._pump(pieces)
            except _BROKEN_OFF as error:
                if not left or not self._given:
                    raise
                left -= 1
                self._open("connection", str(error))
            finally:
                if hasattr(pieces, "close"):
                    pieces.close()

    async def acomplete(self, request: Request) -> Response:
        """Same as `complete`, for tasks."""
        self._open("reask", self._problem)
        if self._comes_whole(request):
            return self._take_whole(await self._lm.acomplete(request))
        left = self._tries()
        while True:
            pieces = self._lm.astream(request)
            try:
                return await self._apump(pieces)
            except _BROKEN_OFF as error:
                if not left or not self._given:
                    raise
                left -= 1
                self._open("connection", str(error))
            finally:
                if hasattr(pieces, "aclose"):
                    await pieces.aclose()

    def _pump(self, pieces: Iterator[Delta]) -> Response:
        response: Response | None = None
        wait_for_room, take = self._channel.wait_for_room, self._take
        for delta in pieces:
            wait_for_room()
            take(delta)
            response = delta.response
        return self._end(response)

    async def _apump(self, pieces: AsyncIterator[Delta]) -> Response:
        response: Response | None = None
        await_room, take = self._channel.await_room, self._take
        async for delta in pieces:
            await await_room()
            take(delta)
            response = delta.response
        return self._end(response)

    def _comes_whole(self, request: Request) -> bool:
        """Whether the answer is not asked for in pieces."""
        if not hasattr(self._lm, "stream") or not hasattr(self._lm, "astream"):
            return True
        laid_over: Mapping[str, Any] = setting("lm_options") or {}
        return {**self.kwargs, **request.options, **laid_over}.get("n") not in (None, 1)

    def _tries(self) -> int:
        """Return how often a reply that breaks off is asked for again, as it would be without streaming."""
        return int(getattr(self._lm, "num_retries", 0))

    def _open(self, reason: str, message: str) -> None:
        """Begin a reply; what was told of the one before does not hold."""
        if self._asked:
            self.retract(reason, message)
        self._asked += 1
        self._given = False
        self._reader = None if self._deltas is None else self._deltas.start()

    def _take(self, delta: Delta) -> None:
        if delta.index:
            return
        text, thought, shown = delta.text, delta.reasoning, bool(self._texts)
        self._given = self._given or bool(text or thought)
        if self._pieces and (text or thought):
            self._channel.put(LMDelta(self._path, text, thought, self._call_id))
        if thought:
            self._channel.put(ReasoningDelta(self._path, self._predictor, thought, self._call_id))
            for field in () if self._deltas is None else self._deltas.thoughts:
                self._tell_text(field, thought)
        if text and self._reader is not None:
            for piece in self._reader.feed(text):
                self._tell(piece)
        if not shown and self._texts:
            self._channel.hand_over()

    def _take_whole(self, response: Response) -> Response:
        if response.completions:
            self._take(Delta(response.completions[0].text, response.completions[0].reasoning or ""))
        return self._end(response)

    def _end(self, response: Response | None) -> Response:
        if response is None:
            raise LMResponseError(
                f"the stream of {self.model!r} ended without a response; the last piece that `stream` yields has it",
                model=self.model,
            )
        if self._reader is not None:
            for piece in self._reader.finish():
                self._tell(piece)
        return response

    # Telling

    def _tell(self, piece: Piece) -> None:
        if piece.text:
            self._tell_text(piece.field, piece.text)
        if piece.closed:
            value = self._early_value(piece.field)
            if value is not UNSET:
                self._tell_value(piece.field, value)

    def _tell_text(self, field: str, text: str) -> None:
        so_far = self._texts.get(field)
        if so_far is None:
            so_far = self._texts[field] = FieldText(plain=self._is_plain(field))
        so_far.parts.append(text)
        self._channel.put(
            FieldDelta(self._path, self._predictor, field, text, self._call_id, so_far, len(so_far.parts))
        )

    def _tell_value(self, field: str, value: Any) -> None:
        self._done[field] = value
        self._channel.put(FieldDone(self._path, self._predictor, field, value, self._call_id))

    def _is_plain(self, field: str) -> bool:
        return self._deltas is None or field in self._deltas.texts

    def _text_of(self, field: str) -> str:
        so_far = self._texts.get(field)
        return "" if so_far is None else so_far.upto()

    def _early_value(self, field: str) -> Any:
        """Return the value of a field that is complete, or UNSET where only the parser can tell."""
        text, deltas = self._text_of(field), self._deltas
        if deltas is None:
            return text
        try:
            if field in deltas.texts:  # guards were taken off already
                return text if "\\" in text else deltas.coercers[field](text)
            return deltas.coercers[field](deltas.read_raw(text))
        except (ValueError, RecursionError):
            return UNSET

    def retract(self, reason: str, message: str, *fields: str) -> None:
        """Tell that what was told of these fields does not hold; without fields: of all."""
        gone = fields or tuple(dict.fromkeys((*self._texts, *self._done)))
        for field in gone:
            self._texts.pop(field, None)
            self._done.pop(field, None)
        if gone:
            self._channel.put(Retracted(self._path, self._predictor, gone, reason, message, self._call_id))

    # What the parser says

    def failed(self, error: Exception) -> None:
        """Take note that the parser could not use a reply."""
        self._problem = str(error)

    def answered(self, prediction: Prediction) -> None:
        """Compare what was told with what the call is answered with, and tell what differs."""
        values: Mapping[str, Any] = dict(prediction.items())
        for field, value in values.items():
            if field in self._done and _same(self._done[field], value):
                continue
            if not self._agrees(field, value):
                if field in self._texts or field in self._done:
                    self.retract("repair", "the parser reads the whole reply otherwise", field)
                text = value_text(value, as_str=isinstance(value, str))[0]
                if text and value is not None:
                    self._tell_text(field, text)
            self._tell_value(field, value)
        for field in [name for name in self._texts if name not in values]:
            self.retract("repair", "the parser reads the whole reply otherwise", field)

    def _agrees(self, field: str, value: Any) -> bool:
        """Whether the text that was told stands for what the parser read."""
        if field not in self._texts:
            return False
        if self._is_plain(field) and isinstance(value, str):
            return self._text_of(field) == value
        return field in self._done  # it could be read; a validator made another value of it


def _same(one: Any, other: Any) -> bool:
    try:
        return one is other or (type(one) is type(other) and bool(one == other))
    except (ValueError, TypeError):  # values that do not say whether they are equal, such as arrays
        return False
