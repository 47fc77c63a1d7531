// `npm run demo`: set-up, then `fairlead demo` with the arguments given. `--no-system` leaves Debian packages out.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { root } from "./prepare.mjs";
import { setup } from "./setup.mjs";

const args = process.argv.slice(2);
if (!setup({ system: !args.includes("--no-system"), tests: false })) process.exit(1);
const child = spawn(process.execPath, [join(root, "fairlead"), "demo", ...args.filter((a) => a !== "--no-system")], {
  stdio: "inherit",
});
// The terminal sends Ctrl-C to both: the child cleans up and ends, and only then do we.
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => signal === "SIGTERM" && child.kill(signal));
child.on("exit", (code, signal) => process.exit(code ?? (signal === "SIGINT" ? 130 : 143)));
