// The kinds of the Gateway API v1.6.1, as far as they are read here. They are custom resources: the API server has checked
// them against their definitions, so what is required there is there.
import type { KubeObject, LabelSelector, Resource } from "../../kube/index.ts";

export const gatewayGroup = "gateway.networking.k8s.io";

export interface GatewayCondition {
  readonly type: string;
  readonly status: "True" | "False" | "Unknown";
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration?: number;
  readonly lastTransitionTime?: string;
}

/** A reference with its defaults left out. */
export interface AnyRef {
  readonly group?: string;
  readonly kind?: string;
  readonly namespace?: string;
  readonly name: string;
}

export interface ParentRef extends AnyRef {
  readonly sectionName?: string;
  readonly port?: number;
}

export interface GatewayClass extends KubeObject {
  readonly spec: { readonly controllerName: string; readonly parametersRef?: AnyRef };
  readonly status?: {
    readonly conditions?: readonly GatewayCondition[];
    readonly supportedFeatures?: readonly { readonly name: string }[];
  };
}

export interface RouteKind {
  readonly group?: string;
  readonly kind: string;
}

interface Namespaces {
  readonly from?: "All" | "Same" | "Selector" | "None";
  readonly selector?: LabelSelector;
}

export interface ListenerSpec {
  readonly name: string;
  readonly hostname?: string;
  readonly port: number;
  readonly protocol: string;
  readonly tls?: {
    readonly mode?: "Terminate" | "Passthrough";
    readonly certificateRefs?: readonly AnyRef[];
    readonly options?: Readonly<Record<string, string>>;
  };
  readonly allowedRoutes?: { readonly namespaces?: Namespaces; readonly kinds?: readonly RouteKind[] };
}

export interface FrontendValidation {
  readonly caCertificateRefs: readonly AnyRef[];
  readonly mode?: "AllowValidOnly" | "AllowInsecureFallback";
}

export interface GatewayAddress {
  readonly type?: string;
  readonly value?: string;
}

export interface ListenerStatus {
  readonly name: string;
  readonly supportedKinds: readonly RouteKind[];
  readonly attachedRoutes: number;
  readonly conditions: readonly GatewayCondition[];
}

export interface GatewayStatus {
  readonly addresses?: readonly GatewayAddress[];
  readonly attachedListenerSets?: number;
  readonly conditions?: readonly GatewayCondition[];
  readonly listeners?: readonly ListenerStatus[];
}

export interface Gateway extends KubeObject {
  readonly spec: {
    readonly gatewayClassName: string;
    readonly listeners?: readonly ListenerSpec[];
    readonly addresses?: readonly GatewayAddress[];
    readonly infrastructure?: {
      readonly labels?: Readonly<Record<string, string>>;
      readonly annotations?: Readonly<Record<string, string>>;
      readonly parametersRef?: AnyRef;
    };
    readonly allowedListeners?: { readonly namespaces?: Namespaces };
    readonly tls?: {
      readonly backend?: { readonly clientCertificateRef?: AnyRef };
      readonly frontend?: {
        readonly default?: { readonly validation?: FrontendValidation };
        readonly perPort?: readonly {
          readonly port: number;
          readonly tls: { readonly validation?: FrontendValidation };
        }[];
      };
    };
  };
  readonly status?: GatewayStatus;
}

export interface ListenerSet extends KubeObject {
  readonly spec: { readonly parentRef: AnyRef; readonly listeners: readonly ListenerSpec[] };
  readonly status?: {
    readonly conditions?: readonly GatewayCondition[];
    readonly listeners?: readonly ListenerStatus[];
  };
}

export interface BackendRef extends AnyRef {
  readonly port?: number;
  readonly weight?: number;
}

interface NameValue {
  readonly name: string;
  readonly value: string;
}

export interface HeaderFilterSpec {
  readonly set?: readonly NameValue[];
  readonly add?: readonly NameValue[];
  readonly remove?: readonly string[];
}

interface PathModifier {
  readonly type: "ReplaceFullPath" | "ReplacePrefixMatch";
  readonly replaceFullPath?: string;
  readonly replacePrefixMatch?: string;
}

export interface RouteFilterSpec {
  readonly type: string;
  readonly requestHeaderModifier?: HeaderFilterSpec;
  readonly responseHeaderModifier?: HeaderFilterSpec;
  readonly requestMirror?: {
    readonly backendRef: BackendRef;
    readonly percent?: number;
    readonly fraction?: { readonly numerator: number; readonly denominator?: number };
  };
  readonly requestRedirect?: {
    readonly scheme?: "http" | "https";
    readonly hostname?: string;
    readonly path?: PathModifier;
    readonly port?: number;
    readonly statusCode?: number;
  };
  readonly urlRewrite?: { readonly hostname?: string; readonly path?: PathModifier };
  readonly cors?: {
    readonly allowOrigins?: readonly string[];
    readonly allowCredentials?: boolean;
    readonly allowMethods?: readonly string[];
    readonly allowHeaders?: readonly string[];
    readonly exposeHeaders?: readonly string[];
    readonly maxAge?: number;
  };
}

export interface MatchSpec {
  readonly type?: string;
  readonly name: string;
  readonly value: string;
}

export interface RouteBackendSpec extends BackendRef {
  readonly filters?: readonly RouteFilterSpec[];
}

export interface RouteRuleSpec<Matching> {
  readonly name?: string;
  readonly matches?: readonly Matching[];
  readonly filters?: readonly RouteFilterSpec[];
  readonly backendRefs?: readonly RouteBackendSpec[];
  readonly timeouts?: { readonly request?: string; readonly backendRequest?: string };
  readonly retry?: { readonly codes?: readonly number[]; readonly attempts?: number; readonly backoff?: string };
}

export interface HttpMatchSpec {
  readonly path?: { readonly type?: string; readonly value?: string };
  readonly headers?: readonly MatchSpec[];
  readonly queryParams?: readonly MatchSpec[];
  readonly method?: string;
}

export interface GrpcMatchSpec {
  readonly method?: { readonly type?: string; readonly service?: string; readonly method?: string };
  readonly headers?: readonly MatchSpec[];
}

export interface ParentStatus {
  readonly parentRef: ParentRef;
  readonly controllerName: string;
  readonly conditions: readonly GatewayCondition[];
}

/** What all kinds of routes share. */
export interface AnyRoute extends KubeObject {
  readonly spec: {
    readonly parentRefs?: readonly ParentRef[];
    readonly hostnames?: readonly string[];
    readonly rules?: readonly RouteRuleSpec<unknown>[];
  };
  readonly status?: { readonly parents?: readonly ParentStatus[] };
}

export interface HTTPRoute extends AnyRoute {
  readonly spec: AnyRoute["spec"] & { readonly rules?: readonly RouteRuleSpec<HttpMatchSpec>[] };
}

export interface GRPCRoute extends AnyRoute {
  readonly spec: AnyRoute["spec"] & { readonly rules?: readonly RouteRuleSpec<GrpcMatchSpec>[] };
}

export interface ReferenceGrant extends KubeObject {
  readonly spec: {
    readonly from: readonly { readonly group: string; readonly kind: string; readonly namespace: string }[];
    readonly to: readonly { readonly group: string; readonly kind: string; readonly name?: string }[];
  };
}

export interface AncestorStatus {
  readonly ancestorRef: ParentRef;
  readonly controllerName: string;
  readonly conditions: readonly GatewayCondition[];
}

export interface BackendTLSPolicy extends KubeObject {
  readonly spec: {
    readonly targetRefs: readonly (AnyRef & { readonly sectionName?: string })[];
    readonly validation: {
      readonly caCertificateRefs?: readonly AnyRef[];
      readonly wellKnownCACertificates?: string;
      readonly hostname: string;
      readonly subjectAltNames?: readonly {
        readonly type: string;
        readonly hostname?: string;
        readonly uri?: string;
      }[];
    };
  };
  readonly status?: { readonly ancestors?: readonly AncestorStatus[] };
}

function define<T extends KubeObject>(kind: string, plural: string, namespaced = true): Resource<T> {
  const group = gatewayGroup;
  const singular = kind.toLowerCase();
  const names = { shortNames: [], categories: [], subresources: ["status"] };
  return { group, version: "v1", kind, plural, singular, namespaced, ...names };
}

/** The kinds in the API. */
export const gatewayResources = {
  GatewayClass: define<GatewayClass>("GatewayClass", "gatewayclasses", false),
  Gateway: define<Gateway>("Gateway", "gateways"),
  ListenerSet: define<ListenerSet>("ListenerSet", "listenersets"),
  HTTPRoute: define<HTTPRoute>("HTTPRoute", "httproutes"),
  GRPCRoute: define<GRPCRoute>("GRPCRoute", "grpcroutes"),
  TLSRoute: define<AnyRoute>("TLSRoute", "tlsroutes"),
  TCPRoute: define<AnyRoute>("TCPRoute", "tcproutes"),
  UDPRoute: define<AnyRoute>("UDPRoute", "udproutes"),
  ReferenceGrant: define<ReferenceGrant>("ReferenceGrant", "referencegrants"),
  BackendTLSPolicy: define<BackendTLSPolicy>("BackendTLSPolicy", "backendtlspolicies"),
};

export const routeKinds = ["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"] as const;
export type RouteKindName = (typeof routeKinds)[number];
