"""An agent with two tools: python weather_agent.py "Какая погода в Пскове и что надеть?"."""

import sys

from gigachat import GigaChat, RunText, RunToolResult, ToolError, tool

TEMPERATURES = {"Псков": -3, "Сочи": 12}


@tool
def weather(city: str) -> dict[str, object]:
    """Погода в городе сейчас."""
    if city not in TEMPERATURES:
        raise ToolError(f"город {city} неизвестен, известны: {', '.join(TEMPERATURES)}")
    return {"city": city, "temperature": TEMPERATURES[city]}


@tool
async def clothes(temperature: int) -> str:
    """Что надеть при такой температуре."""
    return "шубу" if temperature < 0 else "куртку"


def main(question: str) -> None:
    with GigaChat() as giga, giga.chat.run_stream(question, tools=[weather, clothes]) as run:
        for event in run:
            if isinstance(event, RunText):
                print(event.text, end="", flush=True)
            elif isinstance(event, RunToolResult):
                call = event.step.call
                print(f"[{call.name}({call.arguments}) -> {event.step.content}]")
        print(f"\n{run.get_final_result().usage.total_tokens} tokens")


if __name__ == "__main__":
    main(*sys.argv[1:])
