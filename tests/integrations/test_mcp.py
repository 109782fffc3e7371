import asyncio
import contextlib
import socket
import sys
import threading
from pathlib import Path

import pytest

import telic
from telic.data import Completion
from telic.errors import ConfigurationError, ToolError
from telic.integrations import _mcp
from telic.modules._react_tools import ToolRun
from telic.protocols import Capabilities
from telic.testing import ScriptedLM
from telic.types import Tool

mcp = pytest.importorskip("mcp")

COMMAND = [sys.executable, str(Path(__file__).parent / "server.py")]
ANSWER = {"reasoning": "It is told.", "answer": "2.7 million"}


def step(name, **args):
    return {"next_thought": "Hm.", "next_tool_name": name, "next_tool_args": args}


SCRIPT = [step("population", city="Rome"), step("population", city="Ur"), step("finish"), ANSWER]


def call(tools, name, /, **args):
    tool = next(tool for tool in tools if tool.name == name)
    return ToolRun(tool, tool.check(args)).run()


@pytest.fixture(scope="module")
def stdio():
    with telic.mcp_tools(COMMAND) as tools:
        yield tools


@pytest.fixture(scope="module")
def url():
    """A server over streamable HTTP, on a port of its own, in a thread."""
    uvicorn = pytest.importorskip("uvicorn")
    import server  # the file beside this one

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        app = server.server.streamable_http_app()
        serving = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
        started = threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(serve(serving, listener, started)), daemon=True)
        thread.start()
        assert started.wait(20)
        yield f"http://127.0.0.1:{port}/mcp"
        serving.should_exit = True
        thread.join(10)


async def serve(serving, listener, started):
    task = asyncio.ensure_future(serving.serve(sockets=[listener]))
    while not serving.started and not task.done():
        await asyncio.sleep(0.01)
    started.set()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.fixture(autouse=True)
def beside(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.fixture(params=["stdio", "http"])
def tools(request, stdio):
    if request.param == "stdio":
        yield stdio
    else:
        with telic.mcp_tools(request.getfixturevalue("url"), headers={"X-Key": "k"}) as found:
            yield found


def test_tools_have_the_servers_words_types_and_defaults(tools):
    by_name = {tool.name: tool for tool in tools}

    found = by_name["population"]
    assert found.desc == "Look up how many people live in a city."
    assert found.required == ["city"]
    assert found.args["unit"]["enum"] == ["people", "millions"]
    assert found.to_openai()["function"]["parameters"]["required"] == ["city"]
    assert "City" in by_name["describe"].parameters_schema()["$defs"]
    assert "files_read" in by_name


def test_results_are_text_or_a_list_of_parts(tools):
    assert call(tools, "population", city="Rome") == "2700000"
    assert '"said": "Rome in IT"' in call(tools, "describe", city={"name": "Rome", "country": "IT"})
    assert call(tools, "files_read", path="a.txt") == ["a.txt", telic.Image("data:image/png;base64,AAAA")]
    assert len(call(tools, "big", n=3_000_000)) == 3_000_000


def test_arguments_are_checked_here_and_by_the_server(tools):
    with pytest.raises(ToolError, match="`city` is missing.*It takes city .string, required."):
        call(tools, "population")
    with pytest.raises(ToolError, match="`unit` is 'dozens'"):
        call(tools, "population", city="Rome", unit="dozens")
    with pytest.raises(ToolError, match="describe answered with an error: (.|\n)*city.name"):
        call(tools, "describe", city={})


def test_what_the_server_calls_an_error_is_one(tools):
    with pytest.raises(ToolError, match="population answered with an error: .*'Ur'"):
        call(tools, "population", city="Ur")


def test_agents_use_them_sync_and_async(tools):
    agent = telic.ReAct("question -> answer", tools=tools)

    async def inside_a_loop():
        return agent(question="?")  # as in a notebook

    with telic.context(lm=ScriptedLM(SCRIPT * 3)):
        found = agent(question="How many Romans?")
        assert asyncio.run(agent.acall(question="How many Romans?")) == found
        assert asyncio.run(inside_a_loop()) == found
    assert found.trajectory["observation_0"] == "2700000"
    assert found.trajectory["observation_1"].startswith("Error: population answered with an error")


def test_several_calls_at_once_share_the_connection(tools):
    calls = tuple({"id": f"c{n}", "name": "big", "arguments": {"n": n}} for n in range(8))
    lm = ScriptedLM([Completion("", "tool_calls", None, calls), Completion("So."), ANSWER],
                    capabilities=Capabilities(function_calling=True))  # fmt: skip

    with telic.context(lm=lm):
        found = telic.ReAct("question -> answer", tools=tools)(question="?")

    assert [len(found.trajectory[f"observation_{n}"]) for n in range(8)] == list(range(8))


def test_a_tool_that_hangs_is_given_up_and_the_connection_goes_on(tools):
    hang = next(tool for tool in tools if tool.name == "hang")

    for run in (lambda: ToolRun(hang, {}).run(), lambda: asyncio.run(ToolRun(hang, {}).arun())):
        hang.timeout = 0.2
        with pytest.raises(TimeoutError, match=r"no answer within 0\.2 seconds"):
            run()
    assert call(tools, "population", city="Rome") == "2700000"


def test_the_environment_is_passed_on_by_name_alone(stdio, monkeypatch):
    monkeypatch.setenv("TELIC_SECRET", "s3cret")

    with telic.mcp_tools(COMMAND, env={"GIVEN": "yes"}, only=["environment"]) as tools:
        assert [tool.name for tool in tools] == ["environment"]
        assert call(tools, "environment", name="TELIC_SECRET") == ""
        assert call(tools, "environment", name="GIVEN") == "yes"


def test_structured_results_are_values():
    with telic.mcp_tools(COMMAND, result_mode="structured", only=["population", "describe"]) as tools:
        assert call(tools, "population", city="Rome") == 2_700_000
        assert call(tools, "describe", city={"name": "Rome"}) == {"said": "Rome in ?"}


def test_tools_of_several_servers_are_told_apart_by_a_prefix(stdio):
    with telic.mcp_tools(COMMAND, only=["population", "files.read"], prefix="geo.") as more:
        assert [tool.name for tool in more] == ["geo_population", "geo_files_read"]
        assert call(more, "geo_population", city="Rome") == "2700000"
        telic.ReAct("question -> answer", tools=[*stdio, *more])
        with pytest.raises(ConfigurationError, match="'population' is another one's"):
            telic.ReAct("question -> answer", tools=[*stdio, *stdio])


def test_a_server_that_dies_is_an_error_of_each_call_and_none_at_the_end():
    with telic.mcp_tools(COMMAND) as tools:
        with pytest.raises(ToolError, match="could not run die|connection to its MCP server is closed"):
            call(tools, "die")
        with pytest.raises(ToolError, match="connection to its MCP server is closed"):
            call(tools, "population", city="Rome")


def test_after_the_block_tools_say_so_and_nothing_is_left_behind():
    before = threading.active_count()
    given = telic.mcp_tools(COMMAND)
    with given as tools:
        assert repr(given) == "McpTools('python …', open)"
        with pytest.raises(ConfigurationError, match="open already"):
            given.__enter__()
    with pytest.raises(ToolError, match="keep the `with` block open"):
        call(tools, "population", city="Rome")
    assert threading.active_count() <= before


def test_it_is_an_async_context_manager_too():
    async def main():
        async with telic.mcp_tools(COMMAND) as tools:
            return await next(tool for tool in tools if tool.name == "population").acall(city="Rome")

    assert asyncio.run(main()) == "2700000"


@pytest.mark.parametrize(
    ("server", "options", "said"),
    [
        (
            ["/no/such/server", "--key=s3cret"],
            {},
            "'server …' is no MCP server.*FileNotFoundError.*check the command",
        ),
        ([sys.executable, "-c", "pass"], {}, "'python …' is no MCP server"),
        ([sys.executable, "-c", "input(); input()"], {"timeout": 0.5}, "no answer in time"),
        (
            "http://127.0.0.1:1/mcp?key=s3cret",
            {},
            "'http://127.0.0.1:1/mcp' is no MCP server.*check the address",
        ),
        (COMMAND, {"only": ["populatoin"]}, "no tool 'populatoin'; did you mean 'population'"),
    ],
)
def test_what_cannot_be_used_is_refused_when_the_block_is_entered(server, options, said):
    with pytest.raises(ConfigurationError, match=said) as caught:
        with telic.mcp_tools(server, **{"timeout": 20, **options}):
            pass
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("server", "options", "said"),
    [
        ("", {}, "the command is empty"),
        ([], {}, "the command is empty"),
        ("ftp://x/y", {}, "no address of an MCP server"),
        ("http://x/mcp", {"env": {}}, "for servers that a command starts"),
        ("server", {"headers": {}}, "for servers at a URL"),
        ("server", {"timeout": 0}, "timeout must be seconds"),
    ],
)
def test_options_that_cannot_be_are_refused_when_it_is_made(server, options, said):
    with pytest.raises(ConfigurationError, match=said):
        telic.mcp_tools(server, **options)


# One tool of a session of the user's own


async def with_session(work):
    from mcp.client.stdio import StdioServerParameters, stdio_client

    given = StdioServerParameters(command=COMMAND[0], args=COMMAND[1:])
    async with stdio_client(given) as streams, mcp.ClientSession(*streams) as session:
        await session.initialize()
        listed = (await session.list_tools()).tools
        return await work([Tool.from_mcp_tool(session, tool) for tool in listed])


def test_tools_of_an_open_session_work_on_its_loop_and_from_threads():
    async def work(tools):
        population = next(tool for tool in tools if tool.name == "population")
        with telic.context(lm=ScriptedLM(SCRIPT)):
            found = await telic.ReAct("question -> answer", tools=tools).acall(question="?")
        in_thread = await asyncio.to_thread(lambda: ToolRun(population, {"city": "Rome"}).run())
        return found.trajectory["observation_0"], in_thread

    assert asyncio.run(with_session(work)) == ("2700000", "2700000")


def test_a_plain_program_on_the_sessions_own_loop_is_told_that_it_waits_for_itself(monkeypatch):
    monkeypatch.setattr(_mcp, "BUSY_S", 0.2)

    async def work(tools):
        with telic.context(lm=ScriptedLM(SCRIPT)):
            return telic.ReAct("question -> answer", tools=tools)(question="?")

    found = asyncio.run(with_session(work))
    assert "await program.acall" in found.trajectory["observation_0"]


def test_a_mode_that_is_none_is_refused():
    with pytest.raises(ConfigurationError, match="'text' or 'structured'"):
        Tool.from_mcp_tool(None, None, "json")


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mcp", None)

    with pytest.raises(telic.MissingExtraError, match=r"mcp_tools needs the package 'mcp'.*telic\[mcp\]"):
        telic.mcp_tools(COMMAND)
