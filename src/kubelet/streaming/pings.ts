/** Milliseconds between two looks. */
const lookMs = 2_000;
/** Looks between two signs of life on a connection that is read. */
const rarely = 8;

/**
 * Sends signs of life: the end of a connection that nothing is read from (its input waits for a command that takes none) is noticed
 * by writing alone, so there they come often. Gives what stops it.
 */
export function startPinging(connection: { isPaused(): boolean; ping(): void }): () => void {
  let looks = 0;
  const timer = setInterval(() => {
    looks++;
    if (connection.isPaused() || looks % rarely === 0) connection.ping();
  }, lookMs);
  return () => clearInterval(timer);
}
