import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ApiServerOptions } from "../../apiserver/index.ts";
import { type Logger, openRotatingFile, type Clock } from "../../system/index.ts";
import type { ClusterDirectory } from "../directory.ts";
import { CliError } from "../errors.ts";
import type { Settings } from "../settings.ts";

export type AuditSettings = Pick<
  Settings,
  "auditPolicyFile" | "auditLogPath" | "auditLogMaxsize" | "auditLogMaxbackup" | "auditLogMaxage"
>;

export interface OpenAudit {
  /** Absent: nothing is recorded. */
  readonly options: Pick<ApiServerOptions, "audit">;
  /** Writes what waits. */
  close(): Promise<void>;
}

/** Opens the audit log that the settings ask for. Throws CliError BAD_FILE or USAGE. */
export async function openAudit(
  settings: AuditSettings,
  { directory, clock, log }: { directory: ClusterDirectory; clock: Clock; log: Logger },
): Promise<OpenAudit> {
  const { auditPolicyFile, auditLogPath } = settings;
  if (!auditPolicyFile && !auditLogPath) return { options: {}, close: async () => {} };
  if (!auditPolicyFile)
    throw new CliError(
      "USAGE",
      "--audit-log-path says where, but nothing says what to record",
      "add --audit-policy-file",
    );
  const api = await import("../../apiserver/index.ts");
  const bad = (path: string) => (error: unknown) => {
    const text = error instanceof Error ? error.message : String(error);
    throw new CliError("BAD_FILE", `${JSON.stringify(path)} can not be used: ${text}`, undefined, { cause: error });
  };
  const policy = await readFile(auditPolicyFile, "utf8").then(api.parseAuditPolicy).catch(bad(auditPolicyFile));
  const path = auditLogPath || join(directory.root, "audit.log");
  const file = await openRotatingFile({
    path,
    maxBytes: settings.auditLogMaxsize << 20,
    maxBackups: settings.auditLogMaxbackup,
    maxAge: settings.auditLogMaxage,
    now: () => clock.now(),
    onFailure: (error) =>
      error === undefined
        ? log.info({ path }, "the audit log is written again")
        : log.error({ error, path }, "the audit log can not be written; events are lost until it can"),
  }).catch(bad(path));
  return { options: { audit: { policy, sink: file } }, close: () => file.close() };
}
