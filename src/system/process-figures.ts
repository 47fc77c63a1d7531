/**
 * The usual `process_` and `nodejs_` figures, as text. What is needed for them is loaded and set up when they are asked for the first
 * time: a process that nobody looks at pays nothing.
 */
export function createProcessFigures(): () => Promise<string> {
  let loading: Promise<{ metrics(): Promise<string> }> | undefined;
  const load = async () => {
    const { collectDefaultMetrics, Registry } = await import("prom-client");
    const register = new Registry();
    collectDefaultMetrics({ register });
    return register;
  };
  return async () => {
    loading ??= load();
    return (await loading).metrics();
  };
}
