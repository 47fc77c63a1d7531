import type { PriorityLevelConfiguration } from "../../kube/index.ts";

/** What one level may have of all seats. */
export interface Allotment {
  /** Its own share. */
  readonly nominal: number;
  /** Of these, what others may use while it does not. */
  readonly lendable: number;
  /** Seats above its share that it may borrow; infinite: all that others lend. */
  readonly borrowable: number;
}

/** Shares out `total` seats as upstream does: each level's part rounded up, so that none has nothing. */
export function shareSeats(
  levels: readonly PriorityLevelConfiguration[],
  total: number,
): ReadonlyMap<string, Allotment> {
  const sharesOf = ({ spec }: PriorityLevelConfiguration): number =>
    (spec.limited ?? spec.exempt)?.nominalConcurrencyShares ?? (spec.limited ? 30 : 0);
  const all = levels.reduce((sum, level) => sum + sharesOf(level), 0);
  return new Map(
    levels.map((level) => {
      const { limited, exempt } = level.spec;
      const nominal = all > 0 ? Math.ceil((total * sharesOf(level)) / all) : 0;
      const lendable = Math.round((nominal * ((limited ?? exempt)?.lendablePercent ?? 0)) / 100);
      const percent = limited?.borrowingLimitPercent;
      const borrowable = percent === undefined ? Infinity : Math.round((nominal * percent) / 100);
      return [level.metadata.name, { nominal, lendable, borrowable }];
    }),
  );
}
