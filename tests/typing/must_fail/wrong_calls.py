"""What must not type check: each line that must fail says so."""

from pydantic import BaseModel

from gigachat import AsyncGigaChat, GigaChat, models


class Answer(BaseModel):
    text: str


giga = GigaChat()

giga.chat(5)  # must fail: text, a chat, a mapping or a list
giga.chat("text", temperature="warm")  # must fail: a number
giga.chat("text", temperatur=0.2)  # must fail: no such field
giga.chat("text", function_call="sometimes")  # must fail: auto, none or a function
giga.chat("text", functions="f")  # must fail: a list of functions
giga.chat("text", reasoning_effort="huge")  # must fail: low, medium or high
giga.chat("text").choices[0].message.content + 1  # must fail: content is text
print(giga.chat("text").no_such_field)  # must fail: fields are known
giga.chat_parse("text")  # must fail: into what?
giga.chat_parse("text", response_format=dict)  # must fail: a pydantic model
giga.chat_parse("text", response_format=Answer(text=""))  # must fail: the class, not an instance
print(giga.chat_parse("text", response_format=Answer)[1].number)  # must fail: the model has no such field
giga.embeddings(5)  # must fail: text
giga.embeddings([5])  # must fail: text
giga.embeddings(["text"], model=5)  # must fail: a name
giga.tokens_count()  # must fail: of what?
giga.get_models("GigaChat")  # must fail: it takes nothing
giga.get_model()  # must fail: which?
giga.get_model(5)  # must fail: a name
print(giga.get_token().access_token)  # must fail: None with a certificate alone
giga.stream("text", temperatur=0.2)  # must fail: no such field
giga.stream("text").text_stream.close_all()  # must fail: it is an iterator

for chunk in giga.chat("text"):
    print(chunk.choices)  # must fail: what pydantic iterates over are the fields of one answer

for part in giga.astream("text"):  # must fail: it is async
    print(part)


async def awaited() -> None:
    agiga = AsyncGigaChat()
    await giga.chat("text")  # must fail: it blocks; achat is awaited
    await giga.embeddings(["text"])  # must fail: it blocks
    await giga.stream("text")  # must fail: it is iterated
    await giga.astream("text")  # must fail: a stream itself is never awaited
    await agiga.stream("text")  # must fail: likewise
    print(agiga.chat("text").choices)  # must fail: not awaited
    print(giga.achat("text").choices)  # must fail: not awaited
    print(agiga.get_models().data)  # must fail: not awaited
    async for _ in giga.stream("text"):  # must fail: it blocks
        pass
    for _ in agiga.stream("text"):  # must fail: it is async
        pass
    async with giga.stream("text"):  # must fail: it blocks
        pass
    with agiga.stream("text"):  # must fail: it is async
        pass
    completion: models.Embeddings = await giga.achat("text")  # must fail: another answer
    print(completion)
