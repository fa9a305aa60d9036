"""Make a table of the orders in a text: python extract_table.py < letters.txt."""

import sys
from datetime import date

import pandas as pd  # type: ignore[import-untyped]
from pydantic import BaseModel, Field

from gigachat import GigaChat

PROMPT = "Выпиши из писем все заказы.\n\n{text}"


class Order(BaseModel):
    customer: str = Field(description="Имя заказчика в именительном падеже")
    product: str = Field(description="Название товара")
    quantity: int = Field(ge=1)
    delivery: date | None = Field(default=None, description="День доставки, если он назван")


def main(text: str) -> None:
    with GigaChat() as giga:
        _, orders = giga.chat_parse(PROMPT.format(text=text), into=list[Order], temperature=0.1, repair=1)
    table = pd.DataFrame([order.model_dump() for order in orders], columns=list(Order.model_fields))
    print(table.to_string(index=False))


if __name__ == "__main__":
    main(sys.stdin.read())
