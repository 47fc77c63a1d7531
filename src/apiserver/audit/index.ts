export { createAuditor, type Auditor, type AuditRecord, type AuditSink } from "./auditor.ts";
export { AuditPolicyError, parseAuditPolicy, type AuditPolicy } from "./policy.ts";
