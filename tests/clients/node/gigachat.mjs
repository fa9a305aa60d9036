// The npm package `gigachat` on the local server: what check_node.py expects is printed as one line of JSON.
import fs from "node:fs";
import https from "node:https";
import { GigaChat, detectImage } from "gigachat";

console.info = () => {};
const ca = fs.readFileSync(process.env.GIGACHAT_CA_BUNDLE_FILE);
const giga = new GigaChat({ model: "GigaChat-2-Max", httpsAgent: new https.Agent({ ca }) });
const weather = {
  name: "weather",
  description: "Узнать погоду в городе.",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};
const question = { role: "user", content: "Какая погода в Пскове?" };
const said = {};

const answer = await giga.chat({ messages: [question], temperature: 0.4 });
said.text = answer.choices[0].message.content;
said.request_id = answer.xHeaders.xRequestID;

said.pieces = [];
for await (const chunk of giga.stream({ messages: [question] })) said.pieces.push(chunk.choices[0].delta.content ?? "");

const called = await giga.chat({ messages: [question], functions: [weather], function_call: "auto" });
const message = called.choices[0].message;
said.call = message.function_call;
const result = { role: "function", name: "weather", content: '{"t": -3}' };
said.after = (await giga.chat({ messages: [question, message, result], functions: [weather] })).choices[0].message.content;

said.vectors = (await giga.embeddings(["Москва", "Псков"])).data.map((one) => one.embedding.length);
said.tokens = (await giga.tokensCount(["Москва"])).tokens[0].tokens;
said.models = (await giga.getModels()).data.map((one) => one.id);

const file = await giga.uploadFile(new File(["notes"], "notes.txt", { type: "text/plain" }));
said.files = (await giga.getFiles()).data.map((one) => one.filename);
said.deleted = (await giga.deleteFile(file.id)).deleted;

const drawn = await giga.chat({ messages: [{ role: "user", content: "Нарисуй кота" }], function_call: "auto" });
const image = await giga.getImage(detectImage(drawn.choices[0].message.content).uuid);
said.image = image.content.length;

try {
  await giga.chat({ model: "No-Such-Model", messages: [question] });
} catch (error) {
  said.error = error.constructor.name;
}
console.log(JSON.stringify(said));
