"""The fewest instructions on a way through a kernel, on listings small enough to count by hand."""

import pytest
from sass_dump import dump, function, kernel_of

import sass_code
import sass_paths
import sass_routes

LOADS = sass_paths.Work(sass_routes.loaded(16, 16), 32)


def way(*opcodes, works=(LOADS,)):
    """Addresses, in instructions, of the way that loads 32 bytes; None where there is none."""
    _, kernel = kernel_of(*opcodes)
    found = sass_paths.fewest(sass_paths.graph(kernel.instructions), works)
    return found and [at.address // 16 for at in found.instructions]


def test_straight():
    code = ["S2R", "LDG.E.128", "@P0 LDG.E.128", "EXIT", "BRA 0x40", "NOP"]
    assert way(*code) == [0, 1, 2, 3]


def test_what_a_rare_arm_costs_is_not_counted():
    """The branch jumps over it."""
    code = ["LDG.E.128", "@P0 BRA 0x40", "IADD3", "IADD3", "LDG.E.128", "EXIT"]
    assert way(*code) == [0, 1, 4, 5]


def test_the_shorter_arm_of_a_diamond():
    code = ["@!P0 BRA 0x40", "MOV", "MOV", "BRA 0x60", "MOV", "MOV", *2 * ["LDG.E.128"], "EXIT"]
    assert way(*code) == [0, 4, 5, 6, 7, 8]
    code[1] = "BRA 0x60"
    assert way(*code) == [0, 1, 6, 7, 8]


def test_an_arm_with_the_work_is_taken_even_if_longer():
    code = ["LDG.E.128", "@P0 BRA 0x40", "IADD3", "LDG.E.128", "EXIT"]
    assert way(*code) == [0, 1, 2, 3, 4]


def test_an_early_exit_is_passed():
    assert way("@P0 EXIT", *2 * ["LDG.E.128"], "EXIT") == [0, 1, 2, 3]
    assert way("@P1 EXIT P0", *2 * ["LDG.E.128"], "EXIT") == [0, 1, 2, 3]


def test_nothing_follows_an_exit_without_a_condition():
    assert way("EXIT", *2 * ["LDG.E.128"], "EXIT") is None


def test_the_way_ends_at_the_first_exit_after_the_work():
    code = [*2 * ["LDG.E.128"], "@P0 EXIT", "IADD3", "EXIT"]
    assert way(*code) == [0, 1, 2]


def test_a_loop_is_run_as_often_as_the_work_asks():
    """A load a round: 32 bytes are two rounds, 64 are four."""
    code = ["S2R", "LDG.E.128", "@P0 BRA 0x10", "EXIT"]
    assert way(*code) == [0, 1, 2, 1, 2, 3]
    four = sass_paths.Work(sass_routes.loaded(16), 64)
    assert way(*code, works=[four]) == [0, 1, 2, 1, 2, 1, 2, 1, 2, 3]


def test_a_loop_that_is_not_asked_for_is_left_at_once():
    code = [*2 * ["LDG.E.128"], "IADD3", "@P0 BRA 0x20", "EXIT"]
    assert way(*code) == [0, 1, 2, 3, 4]


def test_a_loop_with_its_question_at_its_head():
    code = ["@P0 BRA 0x30", "LDG.E.128", "BRA 0x0", "EXIT"]
    assert way(*code) == [0, 1, 2, 0, 1, 2, 0, 3]


@pytest.mark.parametrize("branch", ["BRA.U UP0, 0x30", "@P0 BRA !P1, 0x30", "@UP1 BRA 0x30"])
def test_branches_with_a_condition(branch):
    assert way(branch, *2 * ["LDG.E.128"], "EXIT") == [0, 1, 2, 3]
    assert way(*2 * ["LDG.E.128"], branch.replace("0x30", "0x40"), "IADD3", "EXIT") == [0, 1, 2, 4]


@pytest.mark.parametrize("branch", ["BRA 0x30", "@PT BRA 0x30"])
def test_branches_without_a_condition(branch):
    assert way(branch, *2 * ["LDG.E.128"], "EXIT") is None


def test_a_call_comes_back_behind_itself():
    code = ["CALL.REL.NOINC 0x30", "LDG.E.128", "EXIT", "LDG.E.128", "RET.REL.NODEC R2 0x0"]
    assert way(*code) == [0, 3, 4, 1, 2]


def test_more_than_the_most_is_no_way():
    """The shorter arm has more of what is limited."""
    code = [*2 * ["LDG.E.128"], "@P0 BRA 0x50", "FFMA", "EXIT", "IADD3", "IADD3", "EXIT"]
    assert way(*code) == [0, 1, 2, 3, 4]
    none = sass_paths.Work(sass_routes.fused, 0, 0)
    assert way(*code, works=[LOADS, none]) == [0, 1, 2, 5, 6, 7]


@pytest.mark.parametrize("jump", ["BRX R2 -0x40", "JMX R2", "BRA R2", "CALL.REL.NOINC R2"])
def test_a_jump_to_a_register_is_not_guessed(jump):
    _, kernel = kernel_of(jump, "EXIT")
    with pytest.raises(sass_paths.Unreadable, match=f"{jump.split()[0]} at 0x0000 jumps to"):
        sass_paths.graph(kernel.instructions)


@pytest.mark.parametrize(
    ("opcode", "width"),
    [
        ("LDG.E.ENL2.256", 32),
        ("LDG.E.128.CONSTANT", 16),
        ("LDG.E.64", 8),
        ("LDG.E", 4),
        ("LDG.E.CONSTANT", 4),
        ("LDG.E.U16", 2),
        ("LDG.E.S8.CONSTANT", 1),
        ("STG.E.EF.128", 16),
    ],
)
def test_width(opcode, width):
    assert sass_routes.width_of(opcode) == width


# One head of eight pairs: what a computed kernel does before and after it has its turns.
BEFORE = ["@P0 EXIT", "LDG.E.128", "LDG.E.128", "LDG.E"]
AFTER = [*(16 * 8 + 2 * 8) * ["FFMA"], "STG.E.128", "STG.E.128", "EXIT"]
INDEXED = "LDC.64 R2, c[0x0][R4+0x210]"


def routes(*opcodes):
    """Route → instructions."""
    ((_, name), kernel), *_ = sass_code.parse(dump({function(source="computed"): opcodes})).items()
    found = sass_routes.measure(name, kernel).routes
    return {label: route and route.instructions for label, route in found.items()}


def test_turns_of_one_place_or_the_other():
    """Eight indexed loads and a jump over the other arm, or four wide loads."""
    target = 16 * (len(BEFORE) + 1 + 8 + 1)
    code = [*BEFORE, f"@P1 BRA {target:#x}", *8 * [INDEXED], f"BRA {target + 64:#x}",
            *4 * ["LDG.E.128"], *AFTER]  # fmt: skip
    both = len(BEFORE) + len(AFTER) + 1
    assert routes(*code) == {
        sass_routes.ARGUMENTS: both + 8 + 1,
        sass_routes.MEMORY: both + 4,
    }


def test_turns_under_opposite_predicates():
    """Both loads are issued, whichever counts."""
    code = [*BEFORE, *8 * [f"@P1 {INDEXED}", "@!P1 LDG.E.64"], *AFTER]
    assert set(routes(*code).values()) == {len(code)}


def test_turns_from_arguments_alone():
    code = [*BEFORE, *8 * [INDEXED], *AFTER]
    assert routes(*code) == {sass_routes.ARGUMENTS: len(code), sass_routes.MEMORY: None}


def test_a_computed_route_has_the_arithmetic_on_it():
    """The branch jumps over the phase, as where there are no frequencies at all."""
    code = [*BEFORE, *8 * [INDEXED], f"@P1 BRA {16 * (len(BEFORE) + 8 + 1 + 128):#x}", *AFTER]
    assert routes(*code)[sass_routes.ARGUMENTS] == len(code)


def test_a_table_route_has_none_of_it():
    """Where the row is there, the code behind the branch that computes is skipped."""
    rows = [*4 * ["LDG.E.128"]]
    code = [*BEFORE, *rows, f"@P1 BRA {16 * (len(BEFORE) + 4 + 1 + 128):#x}", *AFTER]
    name, kernel = kernel_of(*code)
    found = sass_routes.measure(name, kernel).routes[sass_routes.TABLE]
    assert found.instructions == len(code) - 128
    assert found.per_64_bytes == len(code) - 128
    assert found.opcodes["FFMA"] == 16


def test_a_table_route_is_not_the_shorter_way_that_computes():
    """Eight fused operations are fewer than the ten instructions without any."""
    rows = [*2 * ["LDG.E.128"], *4 * ["LDG.E.128"]]
    target = 16 * (len(rows) + 1 + 8 + 1)
    code = [*rows, f"@P1 BRA {target:#x}", *8 * ["FFMA"], f"BRA {target + 160:#x}", *10 * ["MOV"],
            *16 * ["FFMA"], *2 * ["STG.E.128"], "EXIT"]  # fmt: skip
    name, kernel = kernel_of(*code)
    found = sass_routes.measure(name, kernel).routes[sass_routes.TABLE]
    assert found.instructions == len(code) - 9


def test_a_position_is_read_where_one_can_be():
    """The branch jumps over it, as where a call gives none."""
    code = [*2 * ["LDG.E.128"], "@P1 BRA 0x50", "IADD3", "@P2 LDG.E", *4 * ["LDG.E.128"],
            *16 * ["FFMA"], *2 * ["STG.E.128"], "EXIT"]  # fmt: skip
    name, kernel = kernel_of(*code)
    found = sass_routes.measure(name, kernel).routes[sass_routes.TABLE]
    assert found.instructions == len(code)


def test_other_loads_do_not_stand_in_for_data():
    """The first branch jumps over the data, the second over narrower loads of as many bytes."""
    code = ["@P1 BRA 0x80", *5 * ["MOV"], *2 * ["LDG.E.128"], *8 * ["LDG.E.64"],
            "@P2 BRA 0x150", *4 * ["LDG.E.64"], *AFTER]  # fmt: skip
    assert routes(*code)[sass_routes.MEMORY] == len(code) - 4


def test_per_64_bytes_is_shared_by_heads():
    code = [*4 * ["LDG.E.128"], *4 * ["LDG.E.128"], *32 * ["FFMA"], *4 * ["STG.E.128"], "EXIT"]
    ((_, name), kernel), *_ = sass_code.parse(dump({function(heads=2): code})).items()
    found = sass_routes.measure(name, kernel).routes[sass_routes.TABLE]
    assert found.instructions == 45
    assert found.per_64_bytes == 22.5
