import { keyOf } from "../../kube/index.ts";
import type { GatewayTranslation } from "../../routing/index.ts";
import { changesOf, type Change, routesIn, type Said } from "./meaning.ts";

/** What would be otherwise for those who come to Gateways: ports, which routes they take, and where these lead. */
export function gatewayChanges(before: GatewayTranslation, after: GatewayTranslation): Change[] {
  return changesOf(saidOf(before), saidOf(after));
}

function saidOf(translation: GatewayTranslation): Map<string, Said> {
  const said = new Map<string, Said>();
  const tell = (object: string, what: string, text: string) => said.set(`${object}: ${what}`, { object, what, text });
  for (const { gateway, accepted, resolved, ports } of translation.gateways) {
    const object = `Gateway ${keyOf(gateway)}`;
    for (const { port, transport, listener } of ports)
      tell(object, `port ${port}/${transport}`, listener === "" ? "nothing can be served on it" : "served");
    for (const { type, status, reason, message } of [accepted, resolved])
      if (status !== "True") tell(object, type, `${reason}: ${message}`);
  }
  for (const [object, { route, parents }] of translation.routes) {
    for (const { parentRef, conditions } of parents) {
      const { namespace = route.metadata.namespace ?? "", name, sectionName, port } = parentRef;
      const part = sectionName ?? port;
      const where = `${parentRef.kind ?? "Gateway"} ${namespace}/${name}${part === undefined ? "" : ` ${part}`}`;
      const faults = conditions.filter(({ status }) => status !== "True");
      const text = faults.map(({ type, reason, message }) => `not ${type}: ${reason}: ${message}`).join("; ");
      tell(object, `at ${where}`, text || "taken");
    }
  }
  for (const [what, one] of routesIn(translation, ({ name }) => ` at Gateway ${name}`)) said.set(what, one);
  return said;
}
