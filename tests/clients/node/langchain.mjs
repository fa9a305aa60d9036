// The npm package `langchain-gigachat` on the local server: what check_node.py expects is printed as one line of JSON.
import fs from "node:fs";
import https from "node:https";
import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { GigaChat, GigaChatEmbeddings } from "langchain-gigachat";
import { z } from "zod";

console.info = () => {};
const ca = fs.readFileSync(process.env.GIGACHAT_CA_BUNDLE_FILE);
const httpsAgent = new https.Agent({ ca });
const model = new GigaChat({ model: "GigaChat-2-Max", httpsAgent });
const weather = tool(({ city }) => JSON.stringify({ city, t: -3 }), {
  name: "weather",
  description: "Узнать погоду в городе.",
  schema: z.object({ city: z.string() }),
});
const said = {};

said.text = (await model.invoke("Какая погода в Пскове?")).content;

said.pieces = [];
for await (const chunk of await model.stream("Какая погода в Пскове?")) said.pieces.push(chunk.content);

const history = [new HumanMessage("Какая погода в Пскове?")];
const asked = await model.bindTools([weather]).invoke(history);
const [call] = asked.tool_calls;
said.call = { name: call.name, arguments: call.args };
const result = new ToolMessage({ name: "weather", tool_call_id: call.id, content: await weather.invoke(call.args) });
said.after = (await model.bindTools([weather]).invoke([...history, asked, result])).content;

const embedder = new GigaChatEmbeddings({ httpsAgent });
said.vectors = (await embedder.embedDocuments(["Москва", "Псков"])).map((vector) => vector.length);
console.log(JSON.stringify(said));
