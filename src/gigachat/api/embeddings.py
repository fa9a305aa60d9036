"""Embeddings and token counting (reference, section 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigachat import models
from gigachat._engine.calls import Call, post
from gigachat._engine.endpoint import Mode, Resource, endpoint, iterator_procedure, procedure
from gigachat._engine.parsing import read_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gigachat._engine.items import NextItems
    from gigachat.api.vectors import EmbeddingJob, Vectors
    from gigachat.estimates import Content, TokenEstimate
    from gigachat.types import EmbedderName, ModelName

_EMBEDDER = "Embeddings"
MOST_TEXTS = 90  # of a request: the service documents no limit, and its clients send as many


class Embeddings(Resource[Mode]):
    """Embeddings and token counts."""

    @endpoint
    def embeddings(self, texts: str | Sequence[str], model: EmbedderName | str = _EMBEDDER) -> Call[models.Embeddings]:
        """Return a vector for each text (reference, section 8.1).

        Args:
            texts: One text or several.
            model: `Embeddings` and `Embeddings-2` give 1024 numbers a text, `EmbeddingsGigaR` 2560.

        Raises:
            RequestEntityTooLargeError: A text is longer than the model takes.
        """
        return _embeddings(_texts(texts), model)

    @procedure
    async def embed(
        self,
        texts: str | Iterable[str],
        model: EmbedderName | str | None = None,
        *,
        batch_size: int = MOST_TEXTS,
        concurrency: int | None = None,
        progress: Callable[[int, int | None], object] | None = None,
    ) -> Vectors:
        """Return the vectors of any number of texts as one array (reference, section 8.1).

        The texts are sent in slices. A slice that the service refuses as too large is sent in halves. The first failure
        stops further slices.

        Args:
            texts: The texts: any iterable that is not async, taken as needed. A single text is one text.
            model: The model; `Embeddings` if not given.
            batch_size: Most texts in a request.
            concurrency: Most requests in progress; `max_concurrency` of the client, or 1, if not given. A personal
                account permits one.
            progress: Function, not a coroutine function. It is called with the number of texts done and of all texts,
                which is None if `texts` has no length. With several requests in progress it may be called from another
                thread, never twice at once.

        Returns:
            An array of float32 with a row for each text, in their order; lists of numbers if numpy is not installed.

        Raises:
            RequestEntityTooLargeError: A text is longer than the model takes; `text_index` is its index.
            TypeError, ValueError: An argument is invalid.
        """
        from gigachat.api.vectors import checked_progress  # deferred: `import gigachat` need not load it

        job = self._embedding(texts, model, batch_size, concurrency)
        return await job.all(_width(model), checked_progress(progress))

    @iterator_procedure
    def embed_slices(
        self,
        texts: str | Iterable[str],
        model: EmbedderName | str | None = None,
        *,
        batch_size: int = MOST_TEXTS,
        concurrency: int | None = None,
    ) -> NextItems[Vectors]:
        """Iterate over the vectors of any number of texts, an array for each slice (reference, section 8.1).

        It holds the vectors of `concurrency` slices at most.

        Args:
            texts: The texts: any iterable that is not async, taken as needed. A single text is one text.
            model: The model; `Embeddings` if not given.
            batch_size: Most texts in a request.
            concurrency: Most requests in progress, as of `embed`.

        Returns:
            Arrays of float32 with up to `batch_size` rows, in the order of the texts; lists if numpy is not installed.

        Raises:
            RequestEntityTooLargeError: A text is longer than the model takes; `text_index` is its index.
        """
        return self._embedding(texts, model, batch_size, concurrency).next_items

    @endpoint
    def tokens_count(
        self, input_: str | Sequence[str], model: ModelName | str | None = None
    ) -> Call[list[models.TokensCount]]:
        """Count the tokens and characters of each text (reference, section 8.2).

        Args:
            input_: One text or several.
            model: Whose tokenizer counts; the client's model if not given.
        """
        body = {"model": model or self._service.model, "input": _texts(input_)}
        return Call("POST", "/tokens/count", read_list(list[models.TokensCount]), json=body, repeatable=True)

    def estimate_tokens(self, content: Content, model: ModelName | str | None = None) -> TokenEstimate:
        """Estimate the tokens of texts or of a prompt without a request (reference, section 8.2).

        Images, files and descriptions of functions are not counted.

        Args:
            content: A text, texts, or the messages of a chat v1 or v2, whose own tokens are added.
            model: Model whose calibration applies; the client's model if not given.

        Returns:
            The estimate with its error: 25 % if `calibrate_tokens` was not called.
        """
        from gigachat import estimates

        calibration = estimates.Calibration(self._service.token_sums)
        return calibration.estimate(model or self._service.model, estimates.tokens(content))

    def calibrate_tokens(
        self,
        completion: models.ChatCompletion | models.ChatCompletionResponse,
        content: Content | None = None,
    ) -> None:
        """Correct later estimates for a model by the usage of one of its completions.

        A completion with calls or reasoning, whose text does not make all of its tokens, changes nothing. All views of
        the client share the calibration.

        Args:
            completion: A completion of a chat v1 or v2.
            content: The messages of its request, to use the tokens of the prompt too. Leave it out if the request had
                files or functions.
        """
        from gigachat import estimates

        prompt = prompt_tokens(completion)
        estimated = 0 if content is None else estimates.tokens(content)
        calibration = estimates.Calibration(self._service.token_sums)
        model = completion.model or self._service.model
        generated = _text_with_tokens(completion)
        if generated is not None:
            text, count = generated
            calibration.add(model, estimates.text_tokens(text) + estimates.END, count)
        if content is not None and prompt:
            calibration.add(model, estimated, prompt)

    def _embedding(
        self, texts: str | Iterable[str], model: str | None, batch_size: int, concurrency: int | None
    ) -> EmbeddingJob:
        from gigachat.api.vectors import EmbeddingJob

        if concurrency is None:
            concurrency = self._service.settings.max_concurrency or 1
        return EmbeddingJob(
            self._session, lambda slice_: _embeddings(slice_, model or _EMBEDDER), texts, batch_size, concurrency
        )


def _embeddings(texts: list[str], model: str) -> Call[models.Embeddings]:
    if not model:
        raise ValueError("model is empty")
    return post("/embeddings", {"input": texts, "model": model}, models.Embeddings, repeatable=True)


def _width(model: str | None) -> int:
    """Return the numbers in a vector of a model, 0 if that is unknown."""
    from gigachat.catalogue import find

    info = find(model or _EMBEDDER)
    return (info and info.dimensions) or 0


def prompt_tokens(completion: object) -> int:
    """Return the tokens of the prompt of a completion, those from the cache included; 0 if they are unknown.

    Neither `prompt_tokens` of v1 nor `input_tokens` of v2 includes tokens from the cache (reference, sections 4.3 and
    5.6).

    Raises:
        TypeError: It is not a completion.
    """
    if isinstance(completion, models.ChatCompletion):
        return completion.usage.prompt_tokens + (completion.usage.precached_prompt_tokens or 0)
    if not isinstance(completion, models.ChatCompletionResponse):
        raise TypeError(f"expected a completion of a chat v1 or v2, not {type(completion).__name__}")
    if completion.usage is None:
        return 0
    details = completion.usage.input_tokens_details
    return (completion.usage.input_tokens or 0) + ((details and details.cached_tokens) or 0)


def _text_with_tokens(
    completion: models.ChatCompletion | models.ChatCompletionResponse,
) -> tuple[str, int] | None:
    """Return the text of a completion with its tokens; None if they are not of the text alone."""
    if isinstance(completion, models.ChatCompletion):
        message = completion.choices[0].message if len(completion.choices) == 1 else None
        only_text = message is not None and not (message.function_call or message.reasoning_content)
        text = message.content if message is not None else ""
        generated = completion.usage.completion_tokens
    else:
        only_text = not (completion.function_calls or completion.reasoning_content or completion.files)
        text = completion.text
        generated = (completion.usage and completion.usage.output_tokens) or 0
    return (text, generated) if only_text and text and generated else None


def _texts(texts: str | Sequence[str]) -> list[str]:
    from gigachat.api.vectors import checked_texts

    checked = checked_texts(texts)
    listed = [checked] if isinstance(checked, str) else list(checked)
    if not listed:
        raise ValueError("no texts: give at least one")
    for index, text in enumerate(listed):
        if not isinstance(text, str):
            raise TypeError(f"text {index} must be str, not {type(text).__name__}")
    return listed
