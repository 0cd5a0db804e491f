"""Work in threads, a little ahead: in order, no further than it may, and not after an error."""

import threading

import pytest

from foldseg.deploy.threads import map_ahead, thread_pool


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("depth", [0, 1, 5])
@pytest.mark.parametrize("length", [0, 1, 20])
def test_results_come_in_order(number: int, depth: int, length: int) -> None:
    with thread_pool(number) as pool:
        assert list(map_ahead(pool, lambda item: item * item, range(length), depth)) == [i * i for i in range(length)]


def test_items_are_taken_no_further_ahead_than_asked_for() -> None:
    taken = []

    def items() -> object:
        for item in range(100):
            taken.append(item)
            yield item

    with thread_pool(2) as pool:
        results = map_ahead(pool, str, items(), 3)
        assert [next(results), next(results)] == ["0", "1"]
        assert len(taken) == 5


def test_items_are_made_by_the_caller_and_results_elsewhere() -> None:
    here = threading.get_ident()
    with thread_pool(1) as pool:
        (result,) = map_ahead(pool, lambda item: (item, threading.get_ident()), (threading.get_ident() for _ in "a"), 1)
    assert result[0] == here != result[1]


def test_an_error_comes_at_its_item_and_ends_the_work() -> None:
    done = []

    def work(item: int) -> int:
        if item == 2:
            raise OSError("full")
        done.append(item)
        return item

    with thread_pool(1) as pool:
        results = map_ahead(pool, work, range(100), 2)
        assert [next(results), next(results)] == [0, 1]
        with pytest.raises(OSError, match="full"):
            next(results)
    assert len(done) <= 5
