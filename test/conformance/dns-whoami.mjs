// Stands for the image of CoreDNS in the suite's base manifests: answers as its plugin `whoami` does, in the zones of the
// Corefile that have it, and refuses what is in no zone. https://coredns.io/plugins/whoami/
import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import { decode, encode } from "dns-packet";

const conf = process.argv[process.argv.indexOf("-conf") + 1];
const zones = [...readFileSync(conf, "utf8").matchAll(/^\s*(\S+?):(\d+)\s*\{([^}]*)\}/gm)].map(
  ([, zone, port, body]) => ({
    zone: zone.replace(/\.$/, ""),
    port: Number(port),
    whoami: /^\s*whoami\b/m.test(body),
  }),
);
for (const port of new Set(zones.map((each) => each.port))) {
  const socket = createSocket("udp4");
  socket.on("message", (message, from) => {
    let query;
    try {
      query = decode(message);
    } catch {
      return;
    }
    const [question] = query.questions ?? [];
    const name = question?.name.toLowerCase() ?? "";
    const zone = zones
      .filter((each) => each.port === port && (name === each.zone || name.endsWith(`.${each.zone}`)))
      .sort((a, b) => b.zone.length - a.zone.length)[0];
    const answer = zone?.whoami
      ? {
          flags: 0x0400,
          additionals: [
            { type: "A", name, ttl: 0, data: from.address },
            {
              type: "SRV",
              name: `_udp.${name}`,
              ttl: 0,
              data: { port: from.port, target: ".", priority: 0, weight: 0 },
            },
          ],
        }
      : { flags: 5 };
    socket.send(
      encode({ type: "response", id: query.id, questions: query.questions, ...answer }),
      from.port,
      from.address,
    );
  });
  socket.bind(port, process.env.POD_IP ?? "0.0.0.0");
}
