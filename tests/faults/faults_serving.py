"""What is told while the swarm serves: full contexts, queues, what was refused."""
import os, re, socket, threading, time
from swarm import check, wait_for
from trial import fault


@fault("SECURITY_REFUSED", "datagrams without the swarm's key come to a node's port")
def datagrams(t):
    nodes, serve = t.plain()
    t.fine()
    t.inject()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        for _ in range(50):
            out.sendto(os.urandom(100), ("127.0.0.1", nodes[0].port))
    t.expect("SECURITY_REFUSED", [nodes[0], serve], node=nodes[0], severity="info", words="datagrams", within=10)
    t.mend()
    t.ready_again()


@fault("CONTEXT_FULL", "requests are longer than the context that the nodes were given")
def context_full(t):
    t.options = ["--threads", 1, "--ctx", 256, "--slots", 2]
    nodes, serve = t.plain()
    t.fine()
    refused = t.inject(lambda: serve.post("/v1/completions", {"prompt": "Once upon a time " * 80, "max_tokens": 16}))
    check(refused.status == 400, "a prompt that passes the context is answered with", refused)
    f = t.expect("CONTEXT_FULL", [serve, nodes[0]], node=serve, severity="warning", words="the nodes of the plan take 256")
    wanted = re.match(r"shoal node --ctx (\d+) #", f["action"])
    check(wanted, "no command with a number:", f["action"])
    for p in (*nodes, serve):
        p.stop()
        p.args[p.args.index(256)] = int(wanted[1])
    t.mend(lambda: [p.start() for p in (*nodes, serve)])
    t.ready_again()
    answer = serve.post("/v1/completions", {"prompt": "Once upon a time " * 80, "max_tokens": 16})
    check(answer.status == 200, "with the context that the action named the same request is answered with", answer)


def keep_busy(t, serve, n, stop, max_tokens=180):
    def ask():
        while not stop.is_set():
            try:
                serve.post("/v1/completions", {"prompt": "Once upon a time", "max_tokens": max_tokens}, timeout=30)
            except OSError:
                pass
    threads = [threading.Thread(target=ask, daemon=True) for _ in range(n)]
    for thread in threads:
        thread.start()
    return threads


@fault("OVERLOADED", "more requests than slots", aim=10, why_longer="a queue must stand for a while before it is told")
def overloaded(t):
    t.options = ["--threads", 1, "--ctx", 256, "--slots", 1]
    nodes, serve = t.plain()
    t.fine()
    stop = threading.Event()
    t.inject()
    threads = keep_busy(t, serve, 12, stop)
    try:
        t.expect("OVERLOADED", [serve, nodes[0]], node=False, severity="warning")
    finally:
        t.mend(stop.set)
        for thread in threads:
            thread.join(40)
    t.gone("OVERLOADED", [serve])
    t.ready_again(timeout=40)
