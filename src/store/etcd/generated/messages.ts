// Written by scripts/generate-etcd.mjs: not to be edited.

export interface RangeRequest {
  key?: Uint8Array;
  range_end?: Uint8Array;
  limit?: number;
  revision?: number;
  sort_order?: number;
  sort_target?: number;
  serializable?: boolean;
  keys_only?: boolean;
  count_only?: boolean;
  min_mod_revision?: number;
  max_mod_revision?: number;
  min_create_revision?: number;
  max_create_revision?: number;
}

export interface RangeResponse {
  header?: ResponseHeader;
  kvs?: readonly KeyValue[];
  more?: boolean;
  count?: number;
}

export interface ResponseHeader {
  cluster_id?: bigint;
  member_id?: bigint;
  revision?: number;
  raft_term?: bigint;
}

export interface KeyValue {
  key?: Uint8Array;
  create_revision?: number;
  mod_revision?: number;
  version?: number;
  value?: Uint8Array;
  lease?: number;
}

export interface PutRequest {
  key?: Uint8Array;
  value?: Uint8Array;
  lease?: number;
  prev_kv?: boolean;
  ignore_value?: boolean;
  ignore_lease?: boolean;
}

export interface PutResponse {
  header?: ResponseHeader;
  prev_kv?: KeyValue;
}

export interface TxnRequest {
  compare?: readonly Compare[];
  success?: readonly RequestOp[];
  failure?: readonly RequestOp[];
}

export interface Compare {
  result?: number;
  target?: number;
  key?: Uint8Array;
  version?: number;
  create_revision?: number;
  mod_revision?: number;
  value?: Uint8Array;
  lease?: number;
  range_end?: Uint8Array;
}

export interface RequestOp {
  request_range?: RangeRequest;
  request_put?: PutRequest;
  request_delete_range?: DeleteRangeRequest;
  request_txn?: TxnRequest;
}

export interface DeleteRangeRequest {
  key?: Uint8Array;
  range_end?: Uint8Array;
  prev_kv?: boolean;
}

export interface TxnResponse {
  header?: ResponseHeader;
  succeeded?: boolean;
  responses?: readonly ResponseOp[];
}

export interface ResponseOp {
  response_range?: RangeResponse;
  response_put?: PutResponse;
  response_delete_range?: DeleteRangeResponse;
  response_txn?: TxnResponse;
}

export interface DeleteRangeResponse {
  header?: ResponseHeader;
  deleted?: number;
  prev_kvs?: readonly KeyValue[];
}

export interface CompactionRequest {
  revision?: number;
  physical?: boolean;
}

export interface CompactionResponse {
  header?: ResponseHeader;
}

export interface WatchRequest {
  create_request?: WatchCreateRequest;
  cancel_request?: WatchCancelRequest;
  progress_request?: WatchProgressRequest;
}

export interface WatchCreateRequest {
  key?: Uint8Array;
  range_end?: Uint8Array;
  start_revision?: number;
  progress_notify?: boolean;
  filters?: readonly number[];
  prev_kv?: boolean;
  watch_id?: number;
  fragment?: boolean;
}

export interface WatchCancelRequest {
  watch_id?: number;
}

export interface WatchProgressRequest {}

export interface WatchResponse {
  header?: ResponseHeader;
  watch_id?: number;
  created?: boolean;
  canceled?: boolean;
  compact_revision?: number;
  cancel_reason?: string;
  fragment?: boolean;
  events?: readonly Event[];
}

export interface Event {
  type?: number;
  kv?: KeyValue;
  prev_kv?: KeyValue;
}

export interface LeaseGrantRequest {
  TTL?: number;
  ID?: number;
}

export interface LeaseGrantResponse {
  header?: ResponseHeader;
  ID?: number;
  TTL?: number;
  error?: string;
}

export interface LeaseRevokeRequest {
  ID?: number;
}

export interface LeaseRevokeResponse {
  header?: ResponseHeader;
}

export interface StatusRequest {}

export interface StatusResponse {
  header?: ResponseHeader;
  version?: string;
  dbSize?: number;
  leader?: bigint;
  raftIndex?: bigint;
  raftTerm?: bigint;
  raftAppliedIndex?: bigint;
  errors?: readonly string[];
  dbSizeInUse?: number;
  isLearner?: boolean;
  storageVersion?: string;
  dbSizeQuota?: number;
  downgradeInfo?: DowngradeInfo;
}

export interface DowngradeInfo {
  enabled?: boolean;
  targetVersion?: string;
}

export interface AuthenticateRequest {
  name?: string;
  password?: string;
}

export interface AuthenticateResponse {
  header?: ResponseHeader;
  token?: string;
}

export interface Messages {
  RangeRequest: RangeRequest;
  RangeResponse: RangeResponse;
  ResponseHeader: ResponseHeader;
  KeyValue: KeyValue;
  PutRequest: PutRequest;
  PutResponse: PutResponse;
  TxnRequest: TxnRequest;
  Compare: Compare;
  RequestOp: RequestOp;
  DeleteRangeRequest: DeleteRangeRequest;
  TxnResponse: TxnResponse;
  ResponseOp: ResponseOp;
  DeleteRangeResponse: DeleteRangeResponse;
  CompactionRequest: CompactionRequest;
  CompactionResponse: CompactionResponse;
  WatchRequest: WatchRequest;
  WatchCreateRequest: WatchCreateRequest;
  WatchCancelRequest: WatchCancelRequest;
  WatchProgressRequest: WatchProgressRequest;
  WatchResponse: WatchResponse;
  Event: Event;
  LeaseGrantRequest: LeaseGrantRequest;
  LeaseGrantResponse: LeaseGrantResponse;
  LeaseRevokeRequest: LeaseRevokeRequest;
  LeaseRevokeResponse: LeaseRevokeResponse;
  StatusRequest: StatusRequest;
  StatusResponse: StatusResponse;
  DowngradeInfo: DowngradeInfo;
  AuthenticateRequest: AuthenticateRequest;
  AuthenticateResponse: AuthenticateResponse;
}

/** Of each field: name, number, type, and whether it is repeated. */
export const fields: { readonly [name in keyof Messages]: readonly (readonly [string, number, string, boolean?])[] } = {
  RangeRequest: [
    ["key", 1, "bytes"],
    ["range_end", 2, "bytes"],
    ["limit", 3, "int64"],
    ["revision", 4, "int64"],
    ["sort_order", 5, "enum"],
    ["sort_target", 6, "enum"],
    ["serializable", 7, "bool"],
    ["keys_only", 8, "bool"],
    ["count_only", 9, "bool"],
    ["min_mod_revision", 10, "int64"],
    ["max_mod_revision", 11, "int64"],
    ["min_create_revision", 12, "int64"],
    ["max_create_revision", 13, "int64"],
  ],
  RangeResponse: [
    ["header", 1, "ResponseHeader"],
    ["kvs", 2, "KeyValue", true],
    ["more", 3, "bool"],
    ["count", 4, "int64"],
  ],
  ResponseHeader: [
    ["cluster_id", 1, "uint64"],
    ["member_id", 2, "uint64"],
    ["revision", 3, "int64"],
    ["raft_term", 4, "uint64"],
  ],
  KeyValue: [
    ["key", 1, "bytes"],
    ["create_revision", 2, "int64"],
    ["mod_revision", 3, "int64"],
    ["version", 4, "int64"],
    ["value", 5, "bytes"],
    ["lease", 6, "int64"],
  ],
  PutRequest: [
    ["key", 1, "bytes"],
    ["value", 2, "bytes"],
    ["lease", 3, "int64"],
    ["prev_kv", 4, "bool"],
    ["ignore_value", 5, "bool"],
    ["ignore_lease", 6, "bool"],
  ],
  PutResponse: [
    ["header", 1, "ResponseHeader"],
    ["prev_kv", 2, "KeyValue"],
  ],
  TxnRequest: [
    ["compare", 1, "Compare", true],
    ["success", 2, "RequestOp", true],
    ["failure", 3, "RequestOp", true],
  ],
  Compare: [
    ["result", 1, "enum"],
    ["target", 2, "enum"],
    ["key", 3, "bytes"],
    ["version", 4, "int64"],
    ["create_revision", 5, "int64"],
    ["mod_revision", 6, "int64"],
    ["value", 7, "bytes"],
    ["lease", 8, "int64"],
    ["range_end", 64, "bytes"],
  ],
  RequestOp: [
    ["request_range", 1, "RangeRequest"],
    ["request_put", 2, "PutRequest"],
    ["request_delete_range", 3, "DeleteRangeRequest"],
    ["request_txn", 4, "TxnRequest"],
  ],
  DeleteRangeRequest: [
    ["key", 1, "bytes"],
    ["range_end", 2, "bytes"],
    ["prev_kv", 3, "bool"],
  ],
  TxnResponse: [
    ["header", 1, "ResponseHeader"],
    ["succeeded", 2, "bool"],
    ["responses", 3, "ResponseOp", true],
  ],
  ResponseOp: [
    ["response_range", 1, "RangeResponse"],
    ["response_put", 2, "PutResponse"],
    ["response_delete_range", 3, "DeleteRangeResponse"],
    ["response_txn", 4, "TxnResponse"],
  ],
  DeleteRangeResponse: [
    ["header", 1, "ResponseHeader"],
    ["deleted", 2, "int64"],
    ["prev_kvs", 3, "KeyValue", true],
  ],
  CompactionRequest: [
    ["revision", 1, "int64"],
    ["physical", 2, "bool"],
  ],
  CompactionResponse: [["header", 1, "ResponseHeader"]],
  WatchRequest: [
    ["create_request", 1, "WatchCreateRequest"],
    ["cancel_request", 2, "WatchCancelRequest"],
    ["progress_request", 3, "WatchProgressRequest"],
  ],
  WatchCreateRequest: [
    ["key", 1, "bytes"],
    ["range_end", 2, "bytes"],
    ["start_revision", 3, "int64"],
    ["progress_notify", 4, "bool"],
    ["filters", 5, "enum", true],
    ["prev_kv", 6, "bool"],
    ["watch_id", 7, "int64"],
    ["fragment", 8, "bool"],
  ],
  WatchCancelRequest: [["watch_id", 1, "int64"]],
  WatchProgressRequest: [],
  WatchResponse: [
    ["header", 1, "ResponseHeader"],
    ["watch_id", 2, "int64"],
    ["created", 3, "bool"],
    ["canceled", 4, "bool"],
    ["compact_revision", 5, "int64"],
    ["cancel_reason", 6, "string"],
    ["fragment", 7, "bool"],
    ["events", 11, "Event", true],
  ],
  Event: [
    ["type", 1, "enum"],
    ["kv", 2, "KeyValue"],
    ["prev_kv", 3, "KeyValue"],
  ],
  LeaseGrantRequest: [
    ["TTL", 1, "int64"],
    ["ID", 2, "int64"],
  ],
  LeaseGrantResponse: [
    ["header", 1, "ResponseHeader"],
    ["ID", 2, "int64"],
    ["TTL", 3, "int64"],
    ["error", 4, "string"],
  ],
  LeaseRevokeRequest: [["ID", 1, "int64"]],
  LeaseRevokeResponse: [["header", 1, "ResponseHeader"]],
  StatusRequest: [],
  StatusResponse: [
    ["header", 1, "ResponseHeader"],
    ["version", 2, "string"],
    ["dbSize", 3, "int64"],
    ["leader", 4, "uint64"],
    ["raftIndex", 5, "uint64"],
    ["raftTerm", 6, "uint64"],
    ["raftAppliedIndex", 7, "uint64"],
    ["errors", 8, "string", true],
    ["dbSizeInUse", 9, "int64"],
    ["isLearner", 10, "bool"],
    ["storageVersion", 11, "string"],
    ["dbSizeQuota", 12, "int64"],
    ["downgradeInfo", 13, "DowngradeInfo"],
  ],
  DowngradeInfo: [
    ["enabled", 1, "bool"],
    ["targetVersion", 2, "string"],
  ],
  AuthenticateRequest: [
    ["name", 1, "string"],
    ["password", 2, "string"],
  ],
  AuthenticateResponse: [
    ["header", 1, "ResponseHeader"],
    ["token", 2, "string"],
  ],
};

/** What can be called: path, and names of the messages. */
export const calls = {
  Range: { path: "/etcdserverpb.KV/Range", request: "RangeRequest", response: "RangeResponse" },
  Put: { path: "/etcdserverpb.KV/Put", request: "PutRequest", response: "PutResponse" },
  Txn: { path: "/etcdserverpb.KV/Txn", request: "TxnRequest", response: "TxnResponse" },
  Compact: { path: "/etcdserverpb.KV/Compact", request: "CompactionRequest", response: "CompactionResponse" },
  Watch: { path: "/etcdserverpb.Watch/Watch", request: "WatchRequest", response: "WatchResponse" },
  LeaseGrant: { path: "/etcdserverpb.Lease/LeaseGrant", request: "LeaseGrantRequest", response: "LeaseGrantResponse" },
  LeaseRevoke: {
    path: "/etcdserverpb.Lease/LeaseRevoke",
    request: "LeaseRevokeRequest",
    response: "LeaseRevokeResponse",
  },
  Status: { path: "/etcdserverpb.Maintenance/Status", request: "StatusRequest", response: "StatusResponse" },
  Authenticate: {
    path: "/etcdserverpb.Auth/Authenticate",
    request: "AuthenticateRequest",
    response: "AuthenticateResponse",
  },
} as const;
