import { cases, elsewhere } from "./matrix.ts";

/** Whether all packets of a case were answered as they should be, by its name. */
export type Verdicts = Map<string, boolean>;

const head = `# Services: what every mode does

Each row is a rule of the Service API. It is stated in \`test/proxy/matrix.ts\` as objects, packets of several kinds of client, and what must happen to them; the decision
model is held to it, and so is each mode, with packets in network namespaces (two nodes, their pods, a machine outside), in IPv4 and IPv6: as the first node's proxy leads them, and, while both nodes have
one, as the second's does, with that node's own pods and clients. \`npx vitest run --project system test/proxy/matrix.test.ts\` does that, and compares this table with what
it saw (with \`UPDATE=1\` it writes it). \`npm run test:properties\` makes 2,000 random clusters a mode beside it, and tells how many packets went which way.

In user space the client's own address never reaches the endpoint, whatever the rule, and TCP can not be met with silence: such connections are refused or reset. Where nothing
else differs a rule counts as kept. Nor does it see by which interface a client comes: with pods known by interface, all are as those outside.

| row | rule | nftables | iptables | userspace |
| ---: | --- | --- | --- | --- |
`;
const tail = `
## Beyond the Service API

Off unless an annotation asks for it; without them all is as with kube-proxy. \`test/proxy/extras.test.ts\` tries them with packets, in both families.
[expose-a-service.md](expose-a-service.md#in-uneven-shares-by-hash-to-nobody) says how they are written.

| annotation | nftables | iptables | userspace |
| --- | --- | --- | --- |
| \`fairlead.dev/weights\` | yes | yes | yes |
| \`fairlead.dev/balance: source-hash\` | yes | cannot: nothing there looks up by a hash; drawn at random, and an event says so | yes |
| \`fairlead.dev/balance: least-connections\` | cannot: the kernel does not count them; an event says so | cannot, as well | yes |
| \`fairlead.dev/override: drop\` | yes | yes | UDP; TCP is refused |
| \`fairlead.dev/override: log\` | yes | yes | yes, but for connections that the system refuses |
| \`fairlead.dev/removed-endpoints: reset\` | yes: the client learns it by its next packet | as nftables | yes: at once |
| \`fairlead.dev/hold\` | cannot: refused at once; an event says so | cannot, as well | TCP |
| endpoints that keep failing are tried last | cannot: a packet is led once | cannot, as well | always |
`;
const columns = ["nftables", "iptables", "userspace"];

/** The page with the column of one mode as it was seen; the others stay as they are. */
export function pageOf(mode: string, verdicts: Verdicts, before: string): string {
  const known = new Map(
    before
      .split("\n")
      .filter((line) => /^\| \d+ \|/.test(line))
      .map((line) => line.split(" | "))
      .map((cells) => [cells[1] ?? "", cells.slice(2).map((cell) => cell.replace(/ \|$/, ""))]),
  );
  const lines = [
    ...cases.map(({ row, name }) => {
      const cells = columns.map((column, i) =>
        column === mode ? (verdicts.get(name) ? "yes" : "no") : (known.get(name)?.[i] ?? "not run"),
      );
      return { row, text: `| ${row} | ${name} | ${cells.join(" | ")} |` };
    }),
    ...Object.entries(elsewhere).map(([row, { what, where }]) => ({
      row: Number(row),
      text: `| ${row} | ${what} | ${where} | | |`,
    })),
  ];
  return `${head}${lines
    .sort((a, b) => a.row - b.row)
    .map(({ text }) => text)
    .join("\n")}\n${tail}`;
}
