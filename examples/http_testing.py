"""Tests of a service with HTTP: `pytest examples/http_testing.py`."""

import pytest

from examples.http_api import OutOfStock, Shop
from rpcnode.testing import replace_dependencies


@pytest.fixture
def stock(container_factory, memory_config, web_config):
    container = container_factory(Shop, {**memory_config, **web_config})
    stock = replace_dependencies(container, "stock")
    container.start()
    return stock


def test_order_reserves_the_goods(stock, web_session):
    stock.reserve.return_value = {"sku": "plum", "left": 3}

    response = web_session.post("/orders", json={"sku": "plum", "quantity": 2})

    assert response.status_code == 201
    assert response.json() == {"sku": "plum", "left": 3}
    stock.reserve.assert_called_once_with(sku="plum", quantity=2)


def test_failure_of_the_stock_is_not_shown(stock, web_session):
    stock.get.side_effect = OutOfStock("the password is plum")

    response = web_session.get("/items/plum")

    assert response.status_code == 500
    assert "password" not in response.text
