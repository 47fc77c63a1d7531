import { describe, test } from "vitest";
import { startNginx } from "../../src/dataplane/index.ts";
import { findNginx } from "../../src/dataplane/nginx/program.ts";
import { systemCommands } from "../../src/system/index.ts";
import { dataPlaneContract } from "./contract/index.ts";

const why = await findNginx(systemCommands).then(
  () => undefined,
  (error: Error) => error.message,
);

if (why === undefined)
  dataPlaneContract("nginx", startNginx, {
    trailers: "nginx 1.22 reads trailers of HTTP/2 endpoints only",
    duplex: "nginx sends no more of a request body once its answer has begun and the endpoint's buffers are full",
  });
else describe.skip(`data plane nginx (skipped: ${why})`, () => test("contract", () => {}));
