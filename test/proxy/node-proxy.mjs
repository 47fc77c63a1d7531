// The proxy of a node of its own: runs in that node's network namespace, from the build, and is handed objects by the test.
import { chooseBackend } from "../../dist/proxy/choose.js";
import { removeProxy } from "../../dist/proxy/index.js";
import { createServiceModel } from "../../dist/services/index.js";
import { silentLogger, systemClock, systemCommands } from "../../dist/system/index.js";

let stop;
let model;
let backend;

const actions = {
  async start({ mode, context }) {
    stop = new AbortController();
    model = createServiceModel(context);
    const parts = { mode, signal: stop.signal, clock: systemClock, commands: systemCommands };
    ({ backend } = await chooseBackend(parts, context, silentLogger));
    backend.start();
  },
  /** Objects that are there from now on, and keys of those that are gone; resolves when the rules say so. */
  async apply({ services, slices, goneServices, goneSlices }) {
    const changed = [
      ...services.map((one) => model.upsertService(one)),
      ...slices.map((one) => model.upsertSlice(one)),
      ...goneServices.map((key) => model.removeService(key)),
      ...goneSlices.map((key) => model.removeSlice(key)),
    ];
    for (const key of new Set(changed.flatMap((keys) => [...keys]))) backend.update(key, model.plan(key));
    await backend.settled();
    if (backend.failure !== undefined) throw new Error(backend.failure);
  },
  async stop() {
    stop.abort();
    await backend.stopped;
    await removeProxy(systemCommands);
  },
};

process.on("message", ({ id, action, options }) => {
  Promise.resolve()
    .then(() => actions[action](options ?? {}))
    .then(
      (result) => process.send({ id, result }, () => {}),
      (error) => process.send({ id, error: String(error) }, () => {}),
    );
});
process.on("disconnect", () => process.exit());
