"use strict";
// The console: draws what the swarm says. Text from the swarm is always set as text, never as markup.
const at = id => document.getElementById(id);
const make = (tag, className, text) => {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
};
const bytes = n => n >= 2 ** 30 ? (n / 2 ** 30).toFixed(1) + " GB" : n >= 2 ** 20 ? (n / 2 ** 20).toFixed(1) + " MB" : Math.round(n / 1024) + " KB";
const duration = s => s < 90 ? s.toFixed(s < 10 ? 1 : 0) + " s" : s < 5400 ? Math.round(s / 60) + " min" : (s / 3600).toFixed(1) + " h";
let heard = 0, running = null, history = [];

function drawVerdict(v) {
  const light = at("light");
  light.textContent = v.ready ? "ready" : "not ready";
  light.className = "light " + (v.ready ? "ready" : "blocked");
  at("model").textContent = v.model || "no model yet";
  at("send").disabled = !v.ready || running !== null;
  at("stages").replaceChildren(...v.stages.map(s => make("li", s.state, s.stage)));
  const shown = v.findings.filter(f => f.severity !== "info" || !v.ready);
  at("findings").replaceChildren(...shown.map(f => {
    const box = make("div", "finding " + f.severity), head = make("p");
    head.append(make("b", "", f.code));
    const where = [f.shard !== null ? "shard " + f.shard : "", f.node ? "node " + f.node.slice(0, 8) : "", "since " + duration(f.since_s)];
    if (f.eta_s !== null) where.push("about " + duration(f.eta_s) + " left");
    if (f.caused_by) where.push("because of " + f.caused_by);
    head.append(" ", make("span", "dim", where.filter(Boolean).join(" · ")));
    box.append(head, make("p", "", f.cause));
    if (f.action) { const p = make("p"); p.append(make("code", "", f.action)); box.append(p); }
    return box;
  }));
}

function drawStatus(s) {
  at("cluster").textContent = s.cluster + " · " + s.loaded_shards + " of " + (s.expected_shards || "?") + " shards loaded";
  at("shards").replaceChildren(...s.shards.map(shard => {
    const box = make("div", "shard " + shard.state);
    box.append(make("strong", "", "shard " + shard.id), make("span", "", shard.state));
    if (shard.end_layer) box.append(make("div", "dim", (shard.end_layer - shard.first_layer === 1 ? "layer " + shard.first_layer : "layers " + shard.first_layer + " to " + (shard.end_layer - 1)) + " · " + bytes(shard.bytes)));
    if (shard.progress !== null && shard.progress < 1 && shard.progress > 0) {
      const bar = make("progress");
      bar.max = 1;
      bar.value = shard.progress;
      box.append(bar);
    }
    box.append(make("div", "dim", shard.holders.map(h => h.slice(0, 8)).join(" ") || "nobody"));
    return box;
  }));
  at("nodes").tBodies[0].replaceChildren(...s.nodes.map(n => {
    const row = make("tr"), c = n.capabilities;
    const shards = n.shards.filter(x => x.state !== "ABSENT").map(x => x.id + (x.state === "LOADED" ? "" : " " + x.state.toLowerCase())).join(", ");
    for (const text of [n.id.slice(0, 8) + (n.self ? " *" : ""), n.role, n.address, shards || "-", n.role === "node" ? bytes(c.memory_used) + " of " + bytes(c.memory_budget) : "-", n.rtt_us ? (n.rtt_us / 1000).toFixed(2) + " ms" : "-"])
      row.append(make("td", "", text));
    return row;
  }));
}

async function refresh() {
  try {
    const [verdict, status] = await Promise.all(["verdict", "status"].map(x => fetch("/api/v1/" + x).then(r => r.json())));
    drawVerdict(verdict);
    drawStatus(status);
    heard = Date.now();
  } catch (e) {
    at("light").textContent = "no answer from this process";
    at("light").className = "light blocked";
  }
}

let pending = false;
function refreshSoon() {
  if (pending) return;
  pending = true;
  setTimeout(() => { pending = false; refresh(); }, 150);
}

function listen() {
  const events = new EventSource("/api/v1/events");
  for (const type of ["verdict", "roster", "shard", "node", "request"]) events.addEventListener(type, refreshSoon);
  events.onerror = () => refreshSoon();
}

setInterval(() => { at("age").textContent = heard ? "Last heard " + duration((Date.now() - heard) / 1000) + " ago." : ""; }, 1000);
setInterval(refresh, 5000);

function addTurn(kind, text) {
  const turn = make("p", "turn " + kind, text);
  at("log").append(turn);
  turn.scrollIntoView({block: "end"});
  return turn;
}

async function* serverEvents(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const {value, done} = await reader.read();
    if (done) return;
    held += value;
    let end;
    while ((end = held.indexOf("\n\n")) >= 0) {
      const data = held.slice(0, end).split("\n").filter(l => l.startsWith("data:")).map(l => l.slice(5).trimStart()).join("\n");
      held = held.slice(end + 2);
      if (data) yield data;
    }
  }
}

async function send(text) {
  const raw = at("raw").checked, turn = addTurn("answer", raw ? text : "");
  const common = {stream: true, stream_options: {include_usage: true}, temperature: Number(at("temperature").value), max_tokens: Number(at("tokens").value)};
  const body = raw ? {prompt: text, ...common} : {messages: history, ...common};
  const began = performance.now();
  let answer = "", usage = null, first = 0;
  running = new AbortController();
  at("send").disabled = true;
  at("stop").hidden = false;
  try {
    const response = await fetch(raw ? "/v1/completions" : "/v1/chat/completions", {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body), signal: running.signal});
    if (!response.ok) throw new Error((await response.json()).error.message);
    for await (const data of serverEvents(response)) {
      if (data === "[DONE]") break;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new Error(chunk.error.message);
      if (chunk.usage) usage = chunk.usage;
      const choice = chunk.choices[0];
      if (!choice) continue;
      const piece = (raw ? choice.text : choice.delta.content) || "";
      if (piece && !first) first = performance.now();
      answer += piece;
      turn.textContent = (raw ? text : "") + answer;
      turn.scrollIntoView({block: "end"});
    }
    if (usage) {
      const seconds = (performance.now() - first) / 1000, rate = usage.completion_tokens > 1 ? (usage.completion_tokens - 1) / seconds : 0;
      turn.append(make("small", "", usage.prompt_tokens + " + " + usage.completion_tokens + " tokens, first after " + Math.round(first - began) + " ms, " + rate.toFixed(1) + " tokens/s"));
    }
    if (!raw) history.push({role: "assistant", content: answer});
  } catch (e) {
    if (e.name !== "AbortError") addTurn("error", e.message);
    if (!raw) history.pop();
  } finally {
    running = null;
    at("stop").hidden = true;
    refresh();
  }
}

at("ask").addEventListener("submit", event => {
  event.preventDefault();
  const text = at("prompt").value;
  if (!text.trim() || running || at("send").disabled) return;
  at("prompt").value = "";
  if (!at("raw").checked) {
    addTurn("user", text);
    history.push({role: "user", content: text});
  }
  send(text);
});
at("prompt").addEventListener("keydown", event => {
  if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); at("ask").requestSubmit(); }
});
at("stop").addEventListener("click", () => running && running.abort());
refresh();
listen();
