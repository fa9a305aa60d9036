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
giga.chat("text", reasoning_effort=5)  # must fail: text
giga.chat("text").choices[0].message.content + 1  # must fail: content is text
print(giga.chat("text").no_such_field)  # must fail: fields are known
giga.chat("text").text = ""  # must fail: it is only read
giga.chat_parse("text")  # must fail: into what?
giga.chat_parse("text", into=Answer, temperatur=0.2)  # must fail: no such field
giga.chat_parse("text", into=Answer(text=""))  # must fail: the class, not an instance
giga.chat_parse("text", into=Answer, repair="once")  # must fail: a number
print(giga.chat_parse("text", into=list[Answer])[1].text)  # must fail: it is a list
giga.chat_parse("text", response_format=dict)  # must fail: a pydantic model
giga.chat_parse("text", response_format=Answer(text=""))  # must fail: the class, not an instance
print(giga.chat_parse("text", response_format=Answer)[1].number)  # must fail: the model has no such field
giga.chat.create(5)  # must fail: text, a request, a mapping or a list
giga.chat.create("text", temperature="cold")  # must fail: a number
giga.chat.create("text", temperatur=0.2)  # must fail: no such field
giga.chat.create("text", functions=[])  # must fail: of v1; here it is tools
giga.chat.create("text", function_call="auto")  # must fail: of v1; here it is tool_config
giga.chat.create("text", reasoning_effort=5)  # must fail: text
giga.chat.create("text", storage="yes")  # must fail: a flag, storage or a mapping
giga.chat.create("text").choices  # must fail: of v1; here it is messages
giga.chat.create("text").text + 1  # must fail: text
giga.chat.parse("text")  # must fail: into what?
giga.chat.parse("text", into=Answer, temperatur=0.2)  # must fail: no such field
giga.chat.parse("text", into=Answer(text=""))  # must fail: the class, not an instance
giga.chat.parse("text", into=Answer, repair="once")  # must fail: a number
print(giga.chat.parse("text", into=list[Answer])[1].text)  # must fail: it is a list
giga.chat.parse("text", response_format=Answer(text=""))  # must fail: the class, not an instance
print(giga.chat.parse("text", response_format=Answer)[1].number)  # must fail: the model has no such field
models.ChatMesage(role="user")  # must fail: misspelt
models.ChatMessage(content="text")  # must fail: of whom?
models.ChatMessage(role="user", content=5)  # must fail: text or parts
models.ChatMessage.function_result("f")  # must fail: what did it return?
models.ChatMessage(role="user", contents="text")  # must fail: misspelt
models.Function(name="f", parameter={})  # must fail: misspelt
models.ChatFunctionSpecification(name="f", descripton="")  # must fail: misspelt
giga.chat_run("text", tools=[], temperatur=0.2)  # must fail: no such field
giga.chat.run_stream("text", tools=[], max_step=2)  # must fail: no such option
giga.conversation(sistem="text")  # must fail: no such option
giga.embeddings(5)  # must fail: text
giga.embeddings([5])  # must fail: text
giga.embeddings(["text"], model=5)  # must fail: a name
giga.embed([5])  # must fail: text
giga.embed(["text"], progress=5)  # must fail: something to call
giga.embed(["text"], "Embeddings", 10)  # must fail: options are named
giga.embed_slices(["text"], progress=print)  # must fail: the iteration is the progress
giga.estimate_tokens(5)  # must fail: text or messages
giga.calibrate_tokens("text")  # must fail: a completion
giga.models_info(["GigaChat"])  # must fail: what is known of them
giga.tokens_count()  # must fail: of what?
giga.get_models("GigaChat")  # must fail: it takes nothing
giga.upload_file(5)  # must fail: a path, bytes, a file object or a tuple
giga.upload_file(open("a.txt"))  # must fail: opened as text
giga.upload_file((b"a.txt", b"text"))  # must fail: the name is text
giga.upload_file(b"text", purpose="batch")  # must fail: general or assistant
giga.get_file()  # must fail: which?
giga.download_file("id")  # must fail: where to?
giga.create_batch(5)  # must fail: a file or a list of requests
giga.create_batch(["text"], "chats")  # must fail: chat_completions or embedder
giga.wait_batch("id", timeout="1 s")  # must fail: seconds
giga.wait_batch("id", progress=5)  # must fail: something to call
giga.batch_results("id")[0].result.choices  # must fail: it may be something else
giga.openapi_function_convert({"openapi": "3.0.0"})  # must fail: text
giga.validate_function("f")  # must fail: a description
giga.check_ai("text")  # must fail: by which model?
giga.check_filter(5)  # must fail: text or messages
giga.assistants.create("GigaChat")  # must fail: of what name?
giga.assistants.create("GigaChat", "name", functions=["f"])  # must fail: descriptions
giga.threads.run("id", thread_options="hot")  # must fail: options or a mapping
giga.threads.retrieve(5)  # must fail: a list of ids
for thread_chunk in giga.a_threads.run_stream("id"):  # must fail: it is async
    print(thread_chunk)
giga.get_model()  # must fail: which?
giga.get_model(5)  # must fail: a name
print(giga.get_token().access_token)  # must fail: None with a certificate alone
giga.stream("text", temperatur=0.2)  # must fail: no such field
giga.stream("text").partials(5)  # must fail: a type
giga.stream("text").text_stream.close_all()  # must fail: it is an iterator

for chunk in giga.chat("text"):
    print(chunk.choices)  # must fail: what pydantic iterates over are the fields of one answer

for part in giga.astream("text"):  # must fail: it is async
    print(part)


async def awaited() -> None:
    agiga = AsyncGigaChat()
    await giga.chat("text")  # must fail: it blocks; achat is awaited
    await giga.achat("text", temperatur=0.2)  # must fail: no such field
    await giga.achat_parse("text", into=Answer, temperatur=0.2)  # must fail: no such field
    await agiga.chat_parse("text", into=Answer, temperatur=0.2)  # must fail: no such field
    await giga.embeddings(["text"])  # must fail: it blocks
    await giga.stream("text")  # must fail: it is iterated
    await giga.astream("text")  # must fail: a stream itself is never awaited
    await agiga.stream("text")  # must fail: likewise
    await giga.chat.create("text")  # must fail: it blocks; achat.create is awaited
    await agiga.chat.stream("text")  # must fail: a stream itself is never awaited
    print(agiga.chat.create("text").messages)  # must fail: not awaited
    print(agiga.chat("text").choices)  # must fail: not awaited
    print(giga.achat("text").choices)  # must fail: not awaited
    print(agiga.get_models().data)  # must fail: not awaited
    print(agiga.embed(["text"]).shape)  # must fail: not awaited
    await giga.aembed_slices(["text"])  # must fail: it is iterated
    await giga.upload_file(b"text")  # must fail: it blocks; aupload_file is awaited
    print(giga.await_batch("id").status)  # must fail: not awaited
    await giga.assistants.get()  # must fail: it blocks; a_assistants is awaited
    await agiga.threads.run_stream("id")  # must fail: a stream itself is never awaited
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
