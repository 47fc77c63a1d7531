import type { CustomResourceDefinition, JSONSchemaProps } from "../../kube/index.ts";

const parentRefs = "Gateways, or listeners of them, that the route asks to be attached to.";
const hostnames = "Names that the route answers for, among those of the listener.";
const backendRefs = "Services that requests go to, each with its weight.";
const rules = "What is done with which requests; of several that match, the most specific one.";
const routeStatus = "Which Gateways have taken the route, and what is wrong with it.";

/** What `kubectl explain` says of the Gateway API, in our own words. Paths go through lists: `spec.listeners.port`. */
export const gatewayTexts: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  GatewayClass: {
    "": "A kind of Gateway, and the controller that makes Gateways of it work.",
    spec: "Who serves Gateways of this class, and how.",
    "spec.controllerName": "The controller that serves Gateways of this class, such as example.com/gateways.",
    "spec.description": "A line for people who choose a class.",
    "spec.parametersRef": "An object with settings that are the controller's own.",
    status: "Whether the controller has taken the class, and what it can do.",
  },
  Gateway: {
    "": "A place where traffic enters: addresses, ports and what may be attached to them.",
    spec: "Where traffic enters, and who may attach routes.",
    "spec.addresses": "Addresses asked for; without any the controller chooses.",
    "spec.gatewayClassName": "The GatewayClass whose controller serves this Gateway.",
    "spec.infrastructure": "Labels and annotations for what is made for this Gateway.",
    "spec.listeners": "Ports and host names at which traffic is taken.",
    "spec.listeners.allowedRoutes": "Kinds of routes, and their namespaces, that may be attached.",
    "spec.listeners.hostname": "Host name that requests must have; empty: any.",
    "spec.listeners.name": "Name of the listener, by which routes can ask for it.",
    "spec.listeners.port": "Port that traffic comes in at.",
    "spec.listeners.protocol": "HTTP, HTTPS, TLS, TCP or UDP.",
    "spec.listeners.tls": "Certificates, and whether connections are decrypted here or passed on.",
    "spec.listeners.tls.certificateRefs": "Secrets with the certificates of the listener.",
    "spec.listeners.tls.mode": "Terminate: decrypted here. Passthrough: passed on as they are.",
    status: "Addresses that were given, and how the listeners do.",
    "status.addresses": "Addresses at which the Gateway is reached.",
    "status.listeners": "Each listener: how many routes are attached, and what is wrong with it.",
  },
  HTTPRoute: {
    "": "Leads HTTP requests from Gateways to Services.",
    spec: "Which requests, from which Gateways, go where.",
    "spec.hostnames": hostnames,
    "spec.parentRefs": parentRefs,
    "spec.rules": rules,
    "spec.rules.backendRefs": backendRefs,
    "spec.rules.filters": "Changes of the request or the answer, redirects, copies.",
    "spec.rules.matches": "Paths, headers, query parameters and methods; any one is enough.",
    "spec.rules.timeouts": "How long a request may take, and how long one try of it.",
    status: routeStatus,
  },
  GRPCRoute: {
    "": "Leads gRPC calls from Gateways to Services.",
    spec: "Which calls, from which Gateways, go where.",
    "spec.hostnames": hostnames,
    "spec.parentRefs": parentRefs,
    "spec.rules": rules,
    "spec.rules.backendRefs": backendRefs,
    "spec.rules.filters": "Changes of the call or the answer, copies.",
    "spec.rules.matches": "Services, methods and headers; any one is enough.",
    status: routeStatus,
  },
  TLSRoute: {
    "": "Leads TLS connections to Services by the host name that they ask for.",
    spec: "Which connections, from which Gateways, go where.",
    "spec.hostnames": hostnames,
    "spec.parentRefs": parentRefs,
    "spec.rules": "Where the connections go.",
    "spec.rules.backendRefs": backendRefs,
    status: routeStatus,
  },
  ReferenceGrant: {
    "": "Lets objects of other namespaces refer to objects of this one.",
    spec: "Who may refer to what.",
    "spec.from": "Kinds and namespaces of the objects that refer.",
    "spec.to": "Kinds, or single objects of this namespace, that are referred to.",
  },
  BackendTLSPolicy: {
    "": "How Gateways speak TLS with the pods behind a Service.",
    spec: "To which Services, and what their certificates must show.",
    "spec.targetRefs": "Services, or ports of them, that it is about.",
    "spec.validation": "Authorities and the name that the certificate must have.",
    status: "Which Gateways follow it.",
  },
};

/** Puts descriptions into the schemas of a definition of the Gateway API. Changes it. */
export function describeGatewayKind(definition: CustomResourceDefinition): void {
  const own = gatewayTexts[definition.spec.names.kind];
  if (!own) return;
  for (const { schema } of definition.spec.versions) {
    for (const [path, text] of Object.entries(own)) {
      const node = schema?.openAPIV3Schema && nodeAt(schema.openAPIV3Schema, path);
      if (node) node.description = text;
    }
  }
}

function nodeAt(schema: JSONSchemaProps, path: string): JSONSchemaProps | undefined {
  let node: JSONSchemaProps | undefined = schema;
  for (const name of path === "" ? [] : path.split(".")) {
    const items = node?.items as JSONSchemaProps | undefined;
    node = (items ?? node)?.properties?.[name];
  }
  return node;
}
