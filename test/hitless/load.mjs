// Makes new connections at a rate and holds others open, in the namespace it is started in, until its parent lets go of it. Told by its only
// argument: { rate, held, targets: ["address:port"] }. Sends { type: "ready" } once all held connections are open, and at the end what came of it.
import { connect } from "node:net";

const { rate, held, targets } = JSON.parse(process.argv[2]);
const result = { type: "result", sent: 0, ok: 0, slow: 0, skipped: 0, opened: 0, lost: [], broken: [] };
const most = 2_000;
let underWay = 0;
let turn = 0;
let ending = false;
const next = () => {
  const [host, port] = targets[turn++ % targets.length].split(":");
  return { host, port: Number(port) };
};
const note = (list, why, since) => list.length < 1000 && list.push({ at: since, why });

/** One connection: it counts when the endpoint's greeting has come. */
function once() {
  if (underWay >= most) {
    result.skipped++;
    return;
  }
  underWay++;
  result.sent++;
  const begun = Date.now();
  const where = next();
  const socket = connect(where);
  const done = (why) => {
    socket.removeAllListeners();
    socket.on("error", () => {});
    socket.resetAndDestroy();
    underWay--;
    if (why !== undefined) note(result.lost, `${where.host}: ${why}`, begun);
    else result.ok++;
    if (why === undefined && Date.now() - begun > 900) result.slow++;
  };
  socket.setTimeout(10_000, () => done("silent"));
  socket.once("data", () => done());
  socket.once("error", (error) => done(error.code));
  socket.once("end", () => done("closed"));
}

/** A connection that stays: a ping goes each second, and its echo must come. */
function hold() {
  return new Promise((resolve) => {
    const where = next();
    const socket = connect(where);
    const begun = Date.now();
    let pinged;
    let timer;
    const broken = (why) => {
      clearInterval(timer);
      socket.removeAllListeners();
      socket.on("error", () => {});
      if (timer === undefined) note(result.lost, `${where.host}: ${why}`, begun);
      else if (!ending && !socket.leaving) note(result.broken, `${where.host}: ${why}`, Date.now());
      socket.destroy();
      resolve();
    };
    socket.once("error", (error) => broken(error.code));
    socket.once("close", () => broken("closed"));
    socket.once("data", () => {
      result.opened++;
      resolve();
      socket.on("data", () => (pinged = undefined));
      timer = setInterval(() => {
        if (pinged === undefined) {
          pinged = Date.now();
          socket.write("ping");
        } else if (Date.now() - pinged > 30_000) broken("silent");
      }, 1_000);
      timer.unref();
    });
    open.push({ socket, leave: () => ((socket.leaving = true), clearInterval(timer), socket.end()) });
  });
}
const open = [];

await Promise.all(Array.from({ length: held }, hold));
process.send({ type: "ready" });
let due = 0;
let last = performance.now();
const maker = setInterval(() => {
  const now = performance.now();
  due += ((now - last) / 1000) * rate;
  last = now;
  // What this process could not do in time is not made up for in one burst.
  if (due > rate / 4) due = rate / 4;
  for (; due >= 1; due--) once();
}, 5);
// Some of those that are held change, so that each mode has its own.
const changer = setInterval(() => {
  open.shift()?.leave();
  void hold();
}, 250);

process.once("message", () => {
  clearInterval(maker);
  clearInterval(changer);
  const until = Date.now() + 12_000;
  const wait = setInterval(() => {
    if (underWay > 0 && Date.now() < until) return;
    clearInterval(wait);
    ending = true;
    process.send(result, () => process.exit());
  }, 50);
});
process.once("disconnect", () => process.exit());
