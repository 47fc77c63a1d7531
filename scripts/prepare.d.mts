/** Installs and builds what is missing or older than its sources, and says so through `say`; false when that failed. */
export function prepare(say: (line: string) => void): boolean;
