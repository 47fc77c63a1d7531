import type { FieldError } from "../../../kube/index.ts";

export type Level = "privileged" | "baseline" | "restricted";

/** A level of the Pod Security Standards as it was at a version of Kubernetes: the minor one, or infinity for `latest`. */
export interface LevelVersion {
  readonly level: Level;
  readonly minor: number;
}

/** What the labels of a namespace ask for. */
export interface Policy {
  readonly enforce: LevelVersion;
  readonly audit: LevelVersion;
  readonly warn: LevelVersion;
}

const prefix = "pod-security.kubernetes.io/";
const levels: readonly Level[] = ["privileged", "baseline", "restricted"];

/** What holds in a namespace without labels, as in Kubernetes: everything is allowed. */
const privileged: LevelVersion = { level: "privileged", minor: Infinity };

export const compareLevels = (a: Level, b: Level): number => levels.indexOf(a) - levels.indexOf(b);

/** `restricted:latest`, `baseline:v1.30`. */
export const nameOf = ({ level, minor }: LevelVersion): string =>
  `${level}:${minor === Infinity ? "latest" : `v1.${minor}`}`;

export const isFullyPrivileged = ({ enforce, audit, warn }: Policy): boolean =>
  [enforce, audit, warn].every(({ level }) => level === "privileged");

/**
 * Reads the labels (KEP-2579). What is wrong is told in `errors`; to be safe, a wrong level to enforce is restricted, and one to audit or
 * to warn of privileged. Who enforces a level and says nothing of warnings is warned of it too.
 */
export function policyOf(labels: Readonly<Record<string, string>> = {}): {
  policy: Policy;
  errors: readonly FieldError[];
} {
  const errors: FieldError[] = [];
  const fail = (label: string, value: string, detail: string): void => {
    errors.push({ type: "Invalid", field: `metadata.labels[${label}]`, value, detail });
  };
  const read = (
    mode: string,
    otherwise: Level,
  ): LevelVersion & { given: boolean; versioned: boolean; wrong: boolean } => {
    const levelLabel = `${prefix}${mode}`;
    const versionLabel = `${prefix}${mode}-version`;
    const givenLevel = labels[levelLabel];
    const givenVersion = labels[versionLabel];
    const level = levels.find((one) => one === givenLevel);
    if (givenLevel !== undefined && !level) fail(levelLabel, givenLevel, `must be one of ${levels.join(", ")}`);
    const [, digits] = /^v1\.(0|[1-9]\d{0,8})$/.exec(givenVersion ?? "") ?? [];
    if (givenVersion !== undefined && givenVersion !== "latest" && digits === undefined)
      fail(versionLabel, givenVersion, 'must be "latest" or "v1.x"');
    return {
      level: level ?? (givenLevel === undefined ? "privileged" : otherwise),
      minor: digits === undefined ? Infinity : Number(digits),
      given: givenLevel !== undefined,
      versioned: givenVersion !== undefined,
      wrong: givenLevel !== undefined && !level,
    };
  };
  const enforce = read("enforce", "restricted");
  const audit = read("audit", "privileged");
  let warn = read("warn", "privileged");
  const isWorse = compareLevels(enforce.level, warn.level) > 0;
  if (!warn.given && enforce.given && !enforce.wrong && isWorse)
    warn = { ...warn, level: enforce.level, minor: warn.versioned ? warn.minor : enforce.minor };
  return { policy: { enforce: plain(enforce), audit: plain(audit), warn: plain(warn) }, errors };
}

const plain = ({ level, minor }: LevelVersion): LevelVersion =>
  level === "privileged" && minor === Infinity ? privileged : { level, minor };
