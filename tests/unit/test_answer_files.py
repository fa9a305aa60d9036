"""Files of answers: the marks in texts, hostile ones too, and the client that reads them."""

from __future__ import annotations

import asyncio
import copy
import pickle
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from gigachat import APIResponseValidationError, NotFoundError, models
from gigachat.models import answer_files
from tests.support.growth import is_linear
from tests.unit.world import COMPLETION, Answer, World, error

ID = "b28fbd61-7f3f-4c0a-9b1e-0123456789ab"
OTHER = "c39ace72-7f3f-4c0a-9b1e-0123456789ab"
MARK = f'<img src="{ID}" fuse="true"/>'


def v1(text: str, **fields: Any) -> dict[str, Any]:
    """Return the body of a completion of API v1."""
    choice = {"message": {"content": text, "role": "assistant"}, "index": 0, "finish_reason": "stop"}
    return {**COMPLETION, "choices": [choice], **fields}


def v2(*parts: Any, **fields: Any) -> dict[str, Any]:
    """Return the body of a completion of API v2."""
    return {"messages": [{"role": "assistant", "content": list(parts)}], "finish_reason": "stop", **fields}


def found(text: str) -> list[tuple[str, str | None]]:
    """Return id and target of the files that both versions find in a text."""
    one = models.ChatCompletion.model_validate(v1(text)).files
    other = models.ChatCompletionResponse.model_validate(v2({"text": text})).files
    assert [(file.id_, file.target, file.mime) for file in one] == [(file.id, file.target, None) for file in other]
    return [(file.id_, file.target) for file in one]


# Marks.


@pytest.mark.parametrize(
    ("text", "files"),
    [
        (f"{MARK} Вот кот.", [(ID, "image")]),
        (f"{MARK}{MARK} {MARK.replace(ID, OTHER)}", [(ID, "image"), (OTHER, "image")]),
        (f"<img src='{ID}'>", [(ID, "image")]),
        (f"<img src={ID} fuse=true>", [(ID, "image")]),
        (f"<IMG\n fuse = 'true'\n SRC = '{ID.upper()}'\n/>", [(ID.upper(), "image")]),
        (f'<div data-model-id="{ID}" fuse="true"/> Вот шар.', [(ID, "3dmodel")]),
        (f'<div class="model" data-model-id="{ID}"></div>', [(ID, "3dmodel")]),
        (f'<video cover="{OTHER}" src="{ID}" fuse="true"/>', [(OTHER, "cover"), (ID, "video")]),
        (f"<img <img {MARK}", [(ID, "image")]),
        (f'<img alt="1 > 0"> {MARK}', [(ID, "image")]),
    ],
)
def test_marks_of_files(text: str, files: list[tuple[str, str]]) -> None:
    assert found(text) == files


@pytest.mark.parametrize(
    "text",
    [
        "",
        ID,
        f'<imgs src="{ID}"/>',
        f'<img src="{ID}',
        f"<img src=\"{ID}'/>",
        f'<img src="../{ID}"/>',
        f'<img src="{ID}/.."/>',
        f'<img src="{ID}0"/>',
        '<img src="../../etc/passwd" fuse="true"/>',
        '<img src="https://example.com/a.png"/>',
        "<img src=x onerror=alert(1)>",
        f'<img data-src="{ID}" xsrc="{ID}" cover="{ID}"/>',
        f'<script src="{ID}"></script>',
        f'&lt;img src="{ID}"/&gt;',
        f'<div src="{ID}" id="{ID}"></div>',
        '<img src="b28fbd61-7f3f-4c0a-9b1e-0123456789a\u0451"/>',
        f'<img src="{ID}\u0000"/>',
    ],
)
def test_what_is_no_mark(text: str) -> None:
    assert found(text) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece",
    [
        "<img",
        "<img ",
        "<img src=",
        '<img src="',
        f'<img src="{ID}',
        " ",
        "src =",
        "0",
        f'"{ID}" ',
        "<div data-model-id=",
    ],
)
@pytest.mark.parametrize("around", ["{}", "<img {}", "<img {}>", "<img src{}>"])
def test_marks_are_found_in_linear_time(piece: str, around: str) -> None:
    assert is_linear(found, lambda size: around.format(piece * (size // len(piece))), 1_000_000)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_text_is_searched_once(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def completion(text: str) -> Any:
        if version == "v1":
            return models.ChatCompletion.model_validate(v1(text))
        return models.ChatCompletionResponse.model_validate(v2({"text": text}))

    searched: list[str] = []
    pattern = answer_files._TAG
    monkeypatch.setattr(answer_files, "_TAG", SimpleNamespace(finditer=lambda text: _search(pattern, text, searched)))
    one = completion(MARK)
    assert [file.id for file in (*one.files, *one.images, *one.files)] == [ID] * 3
    assert searched == [MARK]
    other = MARK.replace(ID, OTHER)
    changed = completion(other)
    if version == "v1":
        one.choices[0].message.content = other
    else:
        one.messages[0].content = changed.messages[0].content
    assert [file.id for file in one.files] == [OTHER]
    assert [file.id for file in copy.deepcopy(one).files] == [OTHER]


def _search(pattern: re.Pattern[str], text: str, searched: list[str]) -> Iterator[re.Match[str]]:
    searched.append(text)
    return pattern.finditer(text)


def test_files_of_parts_precede_those_of_the_text_and_are_listed_once() -> None:
    completion = models.ChatCompletionResponse.model_validate(
        v2(
            {"files": [{"id": ID, "target": "image", "mime": "image/jpeg"}]},
            {"text": f"{MARK} {MARK.replace(ID, OTHER)}"},
        )
    )
    assert [(file.id_, file.mime) for file in completion.files] == [(ID, "image/jpeg"), (OTHER, None)]
    assert completion.files[0] is (completion.messages[0].content or [])[0].files[0]  # type: ignore[index]


def test_marks_of_reasoning_are_no_files() -> None:
    messages = [{"role": "reasoning", "content": MARK}, {"role": "assistant", "content": "text"}]
    assert models.ChatCompletionResponse.model_validate({"messages": messages}).files == []


@pytest.mark.parametrize(
    ("target", "mime", "image"),
    [
        ("image", None, True),
        ("image", "application/octet-stream", True),
        (None, "image/png", True),
        (None, None, False),
        ("cover", "image/jpeg", False),
        ("3dmodel", None, False),
        ("audio", "audio/mp3", False),
    ],
)
def test_images_are_the_files_that_are_images(target: str | None, mime: str | None, image: bool) -> None:
    file = {"id": ID, "target": target, "mime": mime}
    completion = models.ChatCompletionResponse.model_validate(v2({"files": [file]}))
    assert completion.images == (completion.files if image else [])


def test_a_completion_without_choices_has_no_files() -> None:
    completion = models.ChatCompletion.model_validate({**COMPLETION, "choices": []})
    assert (completion.files, completion.images) == ([], [])


@pytest.mark.parametrize("name", ["files", "images"])
def test_files_cannot_be_set(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(models.ChatCompletion.model_validate(v1("")), name, [])


# The client that reads them.

METHODS = {"chat": v1(MARK), "chat.create": v2({"files": [{"id": ID, "target": "image"}]})}


def read(world: World, file: models.AnswerFile) -> bytes:
    """Read a file in the mode of the world."""
    return file.read() if world.mode == "blocking" else asyncio.run(file.aread())


@pytest.mark.parametrize("method", METHODS)
def test_a_file_is_read_by_the_client_of_its_answer(world: World, method: str) -> None:
    world.answers += [Answer(METHODS[method]), Answer(b"\xff\xd8")]
    giga = world.client().with_options(extra_headers={"X-Own": "1"})
    (image,) = world.do(giga, method, "Нарисуй кота").images
    assert read(world, image) == b"\xff\xd8"
    request = world.api_requests[-1]
    assert request.url.endswith(f"/api/v1/files/{ID}/content")
    assert (request.headers["x-own"], request.headers.get("x-client-id")) == ("1", None)


@pytest.mark.parametrize("method", METHODS)
def test_a_file_is_read_for_the_user_it_was_made_for(world: World, method: str) -> None:
    world.answers += [Answer(METHODS[method], headers={"X-Client-ID": "anna"}), Answer(b"\xff\xd8")]
    (image,) = world.do(world.client(), method, "Нарисуй кота").images
    read(world, image)
    assert world.api_requests[-1].headers["x-client-id"] == "anna"


@pytest.mark.parametrize("client_id", ["анна".encode().decode("latin-1"), "a\tb\x00"])
def test_a_user_that_cannot_be_sent_is_not_of_this_client(world: World, client_id: str) -> None:
    world.answers += [Answer(METHODS["chat"], headers={"X-Client-ID": client_id}), Answer(b"\xff\xd8")]
    read(world, world.do(world.client(), "chat", "Нарисуй кота").images[0])
    assert "x-client-id" not in world.api_requests[-1].headers


@pytest.mark.parametrize("method", METHODS)
def test_dumps_and_copies_know_no_client(world: World, method: str) -> None:
    world.answers.append(Answer(METHODS[method]))
    completion = world.do(world.client(), method, "Нарисуй кота")
    before = type(completion).model_validate(METHODS[method]).model_copy(update={"x_headers": completion.x_headers})
    (image,) = completion.images
    assert completion == before
    assert (repr(completion), completion.model_dump(), vars(completion).keys()) == (
        repr(before),
        before.model_dump(),
        vars(before).keys(),
    )
    assert "client" not in repr(image)
    assert b"Reader" not in pickle.dumps(completion)
    copies = [copy.copy(image), copy.deepcopy(image), image.model_copy(), pickle.loads(pickle.dumps(image))]
    copies += pickle.loads(pickle.dumps(completion)).images
    assert len(copies) == 5
    for one in copies:
        assert one == image
        with pytest.raises(ValueError, match=r"has no client.*giga.download_file\(file.id, path\)"):
            read(world, one)
    assert len(world.api_requests) == 1


@pytest.mark.parametrize("name", ["_origin", "_reader_factory", "read", "save", "is_image"])
def test_a_response_cannot_pretend_to_be_a_reader(world: World, name: str) -> None:
    part = {"files": [{"id": ID, "target": "image", name: ["x", "y"]}]}
    world.answers += [Answer(v2(part, **{name: ["x", "y"]})), Answer(b"\xff\xd8")]
    completion = world.do(world.client(), "chat.create", "Нарисуй кота")
    assert read(world, completion.images[0]) == b"\xff\xd8"
    with pytest.raises(ValueError, match="has no client"):
        read(world, models.ChatCompletionResponse.model_validate(v2(part, **{name: ["x", "y"]})).images[0])


@pytest.mark.parametrize("file_id", ["..", ".", ""])
def test_an_id_that_would_change_the_path_is_refused(world: World, file_id: str) -> None:
    world.answers.append(Answer(v2({"files": [{"id": file_id}]})))
    (file,) = world.do(world.client(), "chat.create", "Нарисуй кота").files
    with pytest.raises(ValueError, match="is not a name or id"):
        read(world, file)
    assert len(world.api_requests) == 1


@pytest.mark.parametrize("file_id", ["../../models", "a/b?c=d#e", "%2e%2e"])
def test_an_id_is_one_segment_of_the_path(world: World, file_id: str) -> None:
    world.answers += [Answer(v2({"files": [{"id": file_id}]})), Answer(b"x")]
    (file,) = world.do(world.client(), "chat.create", "Нарисуй кота").files
    read(world, file)
    path = world.api_requests[-1].url.rpartition("/api/v1/")[2]
    assert (path.count("/"), "?" in path, "#" in path) == (2, False, False)


def test_a_content_that_is_too_long_is_refused(world: World) -> None:
    world.answers += [Answer(v1(MARK)), Answer(b"x" * 2000)]
    (image,) = world.do(world.client(max_response_bytes=1000), "chat", "Нарисуй кота").images
    with pytest.raises(APIResponseValidationError, match="max_response_bytes=1000"):
        read(world, image)


def test_a_failed_read_raises_the_error_of_its_status(world: World) -> None:
    world.answers += [Answer(v1(MARK)), error(404, "No such file")]
    (image,) = world.do(world.client(), "chat", "Нарисуй кота").images
    with pytest.raises(NotFoundError, match="No such file"):
        read(world, image)
