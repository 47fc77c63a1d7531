import type { Target } from "../target.ts";
import { apply, fieldsV1 } from "./apply.ts";
import { auditPolicy } from "./audit.ts";
import { certificateRequest, configuration, identity, kubeconfig, token } from "./credentials.ts";
import { cel, jsonPath, regex } from "./expressions.ts";
import { json, objects, protobuf, yaml } from "./objects.ts";
import { protobufEncoder } from "./output.ts";
import { jsonPatch, mergePatch, strategicPatch } from "./patches.ts";
import { continueToken, fieldSelector, headers, labelSelector, links, url } from "./query.ts";
import { requests } from "./requests.ts";
import { schema } from "./schemas.ts";
import { backup, encryption, encryptionConfiguration, etcd, records } from "./stores.ts";
import { dns, spdy, supervisor, webSocket } from "./streams.ts";
import { address, name, quantity, schedule, times } from "./values.ts";

/** All that reads what somebody else wrote. */
export const targets: readonly Target[] = [
  json,
  yaml,
  protobuf,
  protobufEncoder,
  objects,
  jsonPatch,
  mergePatch,
  strategicPatch,
  apply,
  fieldsV1,
  labelSelector,
  fieldSelector,
  continueToken,
  url,
  headers,
  links,
  cel,
  regex,
  jsonPath,
  schema,
  spdy,
  webSocket,
  supervisor,
  dns,
  etcd,
  backup,
  records,
  encryption,
  encryptionConfiguration,
  token,
  certificateRequest,
  kubeconfig,
  configuration,
  auditPolicy,
  identity,
  quantity,
  address,
  times,
  schedule,
  name,
  requests,
];
