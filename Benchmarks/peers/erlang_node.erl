%% A node of 8-internode and 1-cluster on Erlang's distribution: plain sends, and erpc for calls.
%%
%% Run as `erl -noinput ... -run erlang_node main NAME IP PORT`, it speaks the lines of zmq_node.c; an
%% address is a node's name. No epmd: all nodes have one port, each on an address of its own.
-module(erlang_node).
-export([main/1, echo/1, sink/1, caller/3]).

main([_Port]) ->
    register(sink, spawn(fun() -> sink({0, 0, 0, -1, []}) end)),
    io:format("ready ~s~n", [node()]),
    loop([]).

loop(Nodes) ->
    case io:get_line("") of
        eof -> halt();
        {error, _} -> halt();
        Line ->
            [Word | Rest] = string:tokens(string:trim(Line), " "),
            loop(order(Word, Rest, Nodes))
    end.

order("link", Rest, Nodes) ->
    More = [list_to_atom(Name) || Name <- Rest],
    [true = net_kernel:connect_node(Node) || Node <- More],
    io:format("ok~n"),
    Nodes ++ More;
order("expect", [Count], Nodes) ->
    sink ! {expect, self(), list_to_integer(Count)},
    receive ready -> ok end,
    io:format("ok~n"),
    Nodes;
order("flood", [Count, Bytes], Nodes) ->
    Pad = binary:copy(<<0>>, list_to_integer(Bytes) - 8),
    Began = erlang:monotonic_time(nanosecond) + offset(),
    flood(0, list_to_integer(Count), Pad, [{sink, Node} || Node <- Nodes]),
    io:format("sent ~w~n", [Began]),
    Nodes;
order("counted", [], Nodes) ->
    sink ! {counted, self()},
    {Got, Disorders, Ended} =
        receive {counted, Answer} -> Answer
        after 20000 -> sink ! {give_up, self()}, receive {counted, Answer} -> Answer end end,
    io:format("got ~w ~w ~w~n", [Got, Disorders, Ended]),
    Nodes;
order("calls", [Count, Bytes, Outstanding], [Node | _] = Nodes) ->
    Body = binary:copy(<<0>>, list_to_integer(Bytes)),
    Callers = list_to_integer(Outstanding),
    Each = max(1, list_to_integer(Count) div Callers),
    Self = self(),
    Began = erlang:monotonic_time(nanosecond),
    [spawn_link(fun() -> Self ! {times, caller(Node, Body, Each)} end)
     || _ <- lists:seq(1, Callers)],
    Times = lists:sort(lists:append([receive {times, T} -> T end || _ <- lists:seq(1, Callers)])),
    Taken = erlang:monotonic_time(nanosecond) - Began,
    Length = length(Times),
    %% The time of as many as were asked for.
    Scaled = Taken * list_to_integer(Count) div (Each * Callers),
    io:format("did ~w ~w ~w~n", [Scaled, lists:nth(Length div 2 + 1, Times),
                                 lists:nth(min(Length, Length * 99 div 100 + 1), Times)]),
    Nodes.

%% CLOCK_MONOTONIC in nanoseconds, as the bench reads it, less what Erlang counts from.
offset() ->
    Source = erlang:system_info(os_monotonic_time_source),
    {time, Raw} = lists:keyfind(time, 1, Source),
    Raw - erlang:monotonic_time(nanosecond).

flood(Count, Count, _, _) -> ok;
flood(Number, Count, Pad, Sinks) ->
    Message = <<Number:64, Pad/binary>>,
    [Sink ! Message || Sink <- Sinks],
    flood(Number + 1, Count, Pad, Sinks).

caller(_, _, 0) -> [];
caller(Node, Body, Left) ->
    Began = erlang:monotonic_time(nanosecond),
    Body = erpc:call(Node, ?MODULE, echo, [Body], 20000),
    [erlang:monotonic_time(nanosecond) - Began | caller(Node, Body, Left - 1)].

echo(Body) -> Body.

%% {got, out of order, ended, expected, who waits for the count}
sink({Got, Disorders, Ended, Expected, Waiting}) ->
    receive
        <<Number:64, _/binary>> ->
            Count = Got + 1,
            Bad = case Number of Got -> Disorders; _ -> Disorders + 1 end,
            case Count of
                Expected ->
                    End = erlang:monotonic_time(nanosecond) + offset(),
                    [Pid ! {counted, {Count, Bad, End}} || Pid <- Waiting],
                    sink({Count, Bad, End, Expected, []});
                _ -> sink({Count, Bad, Ended, Expected, Waiting})
            end;
        {expect, Pid, Count} -> Pid ! ready, sink({0, 0, 0, Count, []});
        {counted, Pid} when Got >= Expected ->
            Pid ! {counted, {Got, Disorders, Ended}},
            sink({Got, Disorders, Ended, Expected, Waiting});
        {counted, Pid} -> sink({Got, Disorders, Ended, Expected, [Pid | Waiting]});
        {give_up, Pid} ->
            Pid ! {counted, {Got, Disorders, Ended}},
            sink({Got, Disorders, Ended, Expected, []})
    end.
