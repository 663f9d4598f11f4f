from functools import partial

import integer_nets
import pytest

from shoestring.integers.integer_graph import IMAGE, IntegerNet, Mean
from shoestring.integers.layout import scratch_of
from shoestring.integers.memory import plan_memory


@pytest.mark.parametrize("make", [integer_nets.everything, integer_nets.mirrored, integer_nets.digits])
def test_nothing_lies_where_something_is_still_needed(make) -> None:
    """Walks the net and notes for each byte of the arena whose it is; whoever reads must find it his."""
    net: IntegerNet = make()
    plan = plan_memory(net, partial(scratch_of, net))
    owner: list[str | None] = [None] * plan.size
    last = {name: place for place, operator in enumerate(net.operators) for name in operator.inputs}
    if IMAGE in plan.offsets:
        start = plan.offsets[IMAGE]
        size = net.image[0] * net.image[1] * net.image[2]
        owner[start : start + size] = [IMAGE] * size
    roots = dict[str, str]()  # of views
    for place, operator in enumerate(net.operators):
        for name in operator.inputs:
            if name not in plan.offsets:
                assert name == IMAGE
                continue
            start = plan.offsets[name]
            size = net.activations[name].size if name != IMAGE or net.repeats == 1 else len(owner)
            found = set(owner[start : start + size]) if name != IMAGE else {IMAGE} & set(owner)
            assert found == {roots.get(name, name)}, (place, name)
        working = range(plan.scratch[place], plan.scratch[place] + scratch_of(net, operator))
        for byte in working:
            assert owner[byte] is None or last.get(owner[byte] or "", -1) < place
            owner[byte] = None
        if operator.output not in plan.offsets:
            continue
        start, size = plan.offsets[operator.output], net.activations[operator.output].size
        source = operator.inputs[0]
        inside = source in plan.offsets and 0 <= start - plan.offsets[source] < net.activations[source].size
        if type(operator).__name__ == "Slice" and inside:
            roots[operator.output] = roots.get(source, source)
            last[roots[operator.output]] = max(last[roots[operator.output]], last[operator.output])
            continue
        for byte in range(start, start + size):
            assert last.get(owner[byte] or "", -1) <= place
            assert byte not in working
            owner[byte] = operator.output


def test_a_residual_is_added_where_it_lies() -> None:
    """So that two maps of the widest stage are all that a block needs."""
    made = integer_nets.Builder((16, 16, 3))
    x = made.convolution(IMAGE, 8, (3, 3), padding=(1, 1))
    inner = made.convolution(x, 8, (3, 3), padding=(1, 1))
    x = made.convolution(inner, 8, (3, 3), padding=(1, 1), residual=x)
    mean = made.add(Mean(x, made.name(), 0, made.requantisation(1, 256 * 73)), (1, 1, 8))
    made.logits(mean, 4)
    net = made.net(4)
    plan = plan_memory(net, partial(scratch_of, net))
    patches = 2 * 2 * 9 * 8
    assert plan.size == 2 * 16 * 16 * 8 + patches
    assert IMAGE in plan.offsets
