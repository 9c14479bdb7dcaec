from graphc.collections import (
    GraphKeys,
    add_to_collection,
    add_to_collections,
    get_collection,
    get_collection_ref,
)
from graphc.graph import Graph
from graphc.scopes import name_scope
from graphc.variables import Variable


def test_collections_belong_to_the_default_graph():
    with Graph().as_default():
        add_to_collection("mine", 1)
        add_to_collections(["mine", "yours"], 2)
        add_to_collections("mine", 3)
        found = get_collection("mine")
        assert found == [1, 2, 3]
        found.append(4)
        assert get_collection("mine") == [1, 2, 3]
        get_collection_ref("mine").append(4)
        assert get_collection("mine") == [1, 2, 3, 4]
        assert get_collection("yours") == [2]
        with Graph().as_default():
            assert get_collection("mine") == []


def test_scopes_choose_by_name():
    with Graph().as_default():
        with name_scope("a"):
            first = Variable(1.0)
        second = Variable(1.0, name="ab")
        add_to_collection(GraphKeys.GLOBAL_VARIABLES, "has no name")
        assert get_collection(GraphKeys.GLOBAL_VARIABLES, "a/") == [first]
        assert get_collection(GraphKeys.GLOBAL_VARIABLES, "a") == [first, second]
        assert get_collection(GraphKeys.VARIABLES)[:2] == [first, second]
