/*
 * Drives a server with kinto.js, the offline-first JavaScript client: two devices of one person, each
 * with a database of its own, that meet through the server.
 *
 *     node kinto_js_client.mjs URL STATE work      syncs, conflicts, deletions; writes what must stay
 *     node kinto_js_client.mjs URL STATE verify    after a restart: a third device finds all of it
 *
 * The packages are found below $NODE_PATH_DIR (run.sh installs them there). Ends with
 * "N passed, N failed"; the exit status is 1 when anything failed.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { isDeepStrictEqual, inspect } from "node:util";
import { webcrypto } from "node:crypto";

globalThis.crypto ??= webcrypto; /* older versions of node keep it in a module */
const need = createRequire(`${process.env.NODE_PATH_DIR ?? process.cwd()}/package.json`);
need("fake-indexeddb/auto");
globalThis.window ??= globalThis;
globalThis.self ??= globalThis;
const bundle = need("kinto/dist/kinto.js");
const Kinto = bundle.default ?? bundle;

const { MANUAL, SERVER_WINS, CLIENT_WINS } = Kinto.syncStrategy;
const [url, statePath, mode] = process.argv.slice(2);
const AUTHORIZATION = `Basic ${Buffer.from("jules:secret").toString("base64")}`;

let passed = 0;
let failed = 0;

function check(what, got, want = true) {
  if (isDeepStrictEqual(got, want)) {
    passed++;
    return;
  }
  failed++;
  const show = (value) => inspect(value, { depth: 4, breakLength: Infinity, maxArrayLength: 5 });
  console.log(`FAIL ${what}\n     got  ${show(got)}\n     want ${show(want)}`);
}

/* A device: a database of its own, and the server. */
function device(name) {
  const kinto = new Kinto({
    remote: `${url}/v1`,
    adapterOptions: { dbName: name },
    headers: { Authorization: AUTHORIZATION },
    retry: 0,
  });
  return (collection) => kinto.collection(collection);
}

async function titles(collection) {
  const { data } = await collection.list({ order: "title" });
  return data.map((r) => r.title);
}

/* What a collection holds, without the client's own marks. */
async function contents(collection) {
  const { data } = await collection.list({ order: "id" });
  return data.map(({ _status, ...record }) => record);
}

async function syncs(what, collection, options, want) {
  const result = await collection.sync(options);
  const got = {};
  for (const key of Object.keys(want)) {
    got[key] = key === "ok" ? result.ok : result[key].length;
  }
  check(what, got, want);
  return result;
}

const QUIET = { ok: true, created: 0, updated: 0, deleted: 0, published: 0, conflicts: 0 };

/* ---- without conflicts --------------------------------------------------------------------- */

async function backAndForth(a, b) {
  const [onA, onB] = [a("plain"), b("plain")];
  await syncs("an empty collection", onA, {}, QUIET);
  for (const title of ["one", "two", "three"]) {
    await onA.create({ title });
  }
  await syncs("A publishes", onA, {}, { ...QUIET, published: 3 });
  await syncs("B takes over", onB, {}, { ...QUIET, created: 3 });
  check("both have the same", await contents(onB), await contents(onA));
  await syncs("nothing new for A", onA, {}, QUIET);
  await syncs("nothing new for B", onB, {}, QUIET);

  const { data } = await onB.list({ filters: { title: "two" } });
  await onB.update({ ...data[0], done: true });
  await onB.create({ title: "four" });
  await syncs("B publishes a change", onB, {}, { ...QUIET, published: 2 });
  await syncs("A takes over the change", onA, {}, { ...QUIET, created: 1, updated: 1 });
  check("the change arrived", (await onA.get(data[0].id)).data.done);

  await onA.delete(data[0].id);
  await syncs("A publishes a deletion", onA, {}, { ...QUIET, published: 1 });
  await syncs("B takes over the deletion", onB, {}, { ...QUIET, deleted: 1 });
  check("both have the same again", await titles(onB), ["four", "one", "three"]);
  check("and A too", await titles(onA), ["four", "one", "three"]);

  await onA.create({ title: "from A" });
  await onB.create({ title: "from B" });
  await syncs("A while B wrote", onA, {}, { ...QUIET, published: 1 });
  await syncs("B while A wrote", onB, {}, { ...QUIET, created: 1, published: 1 });
  await syncs("A again", onA, {}, { ...QUIET, created: 1 });
  check("met in the middle", await contents(onA), await contents(onB));
}

async function many(a, b) {
  const [onA, onB] = [a("many"), b("many")];
  for (let i = 0; i < 300; i++) {
    await onA.create({ id: `m${i}`, title: `t${i}`, n: i }, { useRecordId: true });
  }
  await syncs("A publishes many", onA, {}, { ...QUIET, published: 300 });
  await syncs("B takes over many", onB, {}, { ...QUIET, created: 300 });
  check("every one is the same", await contents(onB), await contents(onA));
  for (let i = 0; i < 300; i += 3) {
    await onB.delete(`m${i}`);
  }
  await syncs("B deletes a third", onB, {}, { ...QUIET, published: 100 });
  await syncs("A deletes a third", onA, {}, { ...QUIET, deleted: 100 });
  check("two thirds are left", (await onA.list()).data.length, 200);
}

/* ---- conflicts ----------------------------------------------------------------------------- */

/* Both devices know a record; each changes it; A is first at the server. Returns what B then has. */
async function conflict(a, b, name, onServer, onClient) {
  const [onA, onB] = [a(name), b(name)];
  const { data } = await onA.create({ title: "start", n: 0 });
  await onA.sync();
  await onB.sync();
  await onServer(onA, data.id);
  await onClient(onB, data.id);
  await syncs(`${name}: A publishes first`, onA, {}, { ...QUIET, published: 1 });
  return [onA, onB, data.id];
}

const edit = (title) => async (collection, id) =>
  collection.update({ ...(await collection.get(id)).data, title });
const remove = async (collection, id) => collection.delete(id);

async function serverWins(a, b) {
  const strategy = SERVER_WINS;
  const [onA, onB, id] = await conflict(a, b, "server-wins", edit("of A"), edit("of B"));
  const result = await syncs("server wins", onB, { strategy }, { ok: true, conflicts: 0, resolved: 1 });
  check("B has A's", (await onB.get(id)).data.title, "of A");
  check("it says what was given up", result.resolved[0].rejected.title, "of B");
  await syncs("A sees no change", onA, {}, QUIET);
  check("A keeps its own", (await onA.get(id)).data.title, "of A");
}

async function clientWins(a, b) {
  const strategy = CLIENT_WINS;
  const [onA, onB, id] = await conflict(a, b, "client-wins", edit("of A"), edit("of B"));
  await syncs("client wins", onB, { strategy }, { ok: true, conflicts: 0, published: 1 });
  check("B keeps its own", (await onB.get(id)).data.title, "of B");
  await syncs("A takes B's over", onA, {}, { ...QUIET, updated: 1 });
  check("A has B's", (await onA.get(id)).data.title, "of B");
}

async function manual(a, b) {
  const strategy = MANUAL;
  const [onA, onB, id] = await conflict(a, b, "manual", edit("of A"), edit("of B"));
  const result = await syncs("manual", onB, { strategy }, { ok: false, conflicts: 1 });
  const [found] = result.conflicts;
  check("both versions are shown", [found.local.title, found.remote.title], ["of B", "of A"]);
  check("B has its own still", (await onB.get(id)).data.title, "of B");
  await onB.resolve(found, { ...found.remote, title: "of both" });
  await syncs("the resolution is published", onB, { strategy }, { ok: true, published: 1 });
  await syncs("and arrives", onA, {}, { ...QUIET, updated: 1 });
  check("A has the resolution", (await onA.get(id)).data.title, "of both");
}

/* A deleted what B changed, and the other way round. */
async function deletions(a, b) {
  let [onA, onB, id] = await conflict(a, b, "deleted-server-wins", remove, edit("of B"));
  await onB.sync({ strategy: SERVER_WINS });
  check("B knows the deletion", (await onB.getAny(id)).data.deleted);
  [onA, onB, id] = await conflict(a, b, "deleted-client-wins", remove, edit("of B"));
  await onB.sync({ strategy: CLIENT_WINS });
  await onA.sync();
  check("B's lives again on A", (await onA.getAny(id)).data?.title, "of B");
  [onA, onB, id] = await conflict(a, b, "changed-server-wins", edit("of A"), remove);
  await onB.sync({ strategy: SERVER_WINS });
  check("A's lives again on B", (await onB.getAny(id)).data?.title, "of A");
}

/* The same id made on both devices: the server says so, the strategy decides. */
async function sameId(a, b) {
  const [onA, onB] = [a("same-id"), b("same-id")];
  await onA.create({ id: "x", title: "of A" }, { useRecordId: true });
  await onB.create({ id: "x", title: "of B" }, { useRecordId: true });
  await syncs("A makes x", onA, {}, { ...QUIET, published: 1 });
  await syncs("B makes x, too", onB, { strategy: MANUAL }, { ok: false, conflicts: 1 });
  await syncs("B gives in", onB, { strategy: SERVER_WINS }, { ok: true, resolved: 1 });
  check("x is A's", (await onB.get("x")).data.title, "of A");
}

async function refused() {
  const kinto = new Kinto({ remote: `${url}/v1`, adapterOptions: { dbName: "nobody" }, retry: 0, bucket: "private" });
  let status = 0;
  try {
    await kinto.collection("x").sync();
  } catch (e) {
    status = e.response?.status ?? e;
  }
  check("a stranger is refused", status, 401);
}

/* ---- the two runs -------------------------------------------------------------------------- */

const COLLECTIONS = [
  "plain", "many", "server-wins", "client-wins", "manual", "deleted-client-wins",
  "changed-server-wins", "same-id",
];

async function work() {
  const [a, b] = [device("device-a"), device("device-b")];
  await backAndForth(a, b);
  await many(a, b);
  await serverWins(a, b);
  await clientWins(a, b);
  await manual(a, b);
  await deletions(a, b);
  await sameId(a, b);
  await refused();
  const state = {};
  for (const name of COLLECTIONS) {
    await a(name).sync();
    await b(name).sync({ strategy: SERVER_WINS });
    check(`${name}: both devices agree`, await contents(b(name)), await contents(a(name)));
    state[name] = await contents(a(name));
  }
  writeFileSync(statePath, JSON.stringify(state));
}

async function verify() {
  const state = JSON.parse(readFileSync(statePath, "utf8"));
  const c = device("device-c");
  for (const [name, want] of Object.entries(state)) {
    await c(name).sync();
    check(`${name}: a third device has all`, await contents(c(name)), want);
  }
  await c("plain").create({ title: "after" });
  await syncs("and can write", c("plain"), {}, { ...QUIET, published: 1 });
  const d = device("device-d");
  await d("plain").sync();
  check("what a fourth one reads", await contents(d("plain")), await contents(c("plain")));
}

if (!url || !["work", "verify"].includes(mode)) {
  console.error("usage: node kinto_js_client.mjs URL STATE work|verify");
  process.exit(2);
}
try {
  await (mode === "work" ? work : verify)();
} catch (e) {
  console.error(e);
  check(`the run ended early: ${e.message}`, false);
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed || !passed ? 1 : 0);
