"""What must not type check about tools: each line that must fail says so."""

from gigachat import GigaChat, ToolContext, tool


@tool
def weather(city: str, days: int = 1) -> dict[str, int]:
    return {city: days}


class Forecast:
    @tool
    def of(self, city: str) -> int:
        return len(city)


weather()  # must fail: of which city?
weather(5)  # must fail: the name is text
weather("x", hours=1)  # must fail: no such parameter
weather("x") + 1  # must fail: a mapping
Forecast().of(1)  # must fail: the name is text
weather.parameter  # must fail: parameters
weather.bind()  # must fail: which arguments?
tool(5)  # must fail: a function
tool(weather.name)  # must fail: a function
tool(on_error="ignore")  # must fail: tell or raise
tool(timeout="5 s")  # must fail: seconds
tool(examples=["x"])  # must fail: mappings
ToolContext(1).deps + "x"  # must fail: a number
GigaChat().chat("text", functions=[5])  # must fail: functions, tools or descriptions
GigaChat().chat.create("text", tools=[5])  # must fail: names, functions, tools or descriptions
