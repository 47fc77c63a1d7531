/**
 * Does `count` things in batches of 1, 2, 4... and goes on only while all succeed: when the API refuses them, that costs few
 * requests. `skipped` things were not tried; `error` is the first failure of `failed`.
 */
export async function slowStart(
  count: number,
  work: (index: number) => Promise<unknown>,
): Promise<{ readonly failed: number; readonly skipped: number; readonly error?: unknown }> {
  let next = 0;
  for (let batch = 1; next < count; batch *= 2) {
    const size = Math.min(batch, count - next);
    const first = next;
    const results = await Promise.allSettled(Array.from({ length: size }, (_, i) => work(first + i)));
    next += size;
    const failures = results.filter((result) => result.status === "rejected");
    if (failures.length > 0) return { failed: failures.length, skipped: count - next, error: failures[0]?.reason };
  }
  return { failed: 0, skipped: 0 };
}
