import { constants, PerformanceObserver, type NodeGCPerformanceDetail } from "node:perf_hooks";
import { getHeapStatistics, setFlagsFromString } from "node:v8";

/** Percent of its live size by which the heap grows before garbage in it is looked for. V8's own choice is up to 300. */
const growth = { least: 40, most: 200 };
/** Bytes by which a small heap of an API server may grow too: to look through it more often costs a sixth of the CPU time of a create. */
const serverRoom = 48 << 20;

/** By how many percent a heap may grow of which so many bytes are live, if it always may by `room` bytes. */
export function growthOf(live: number, room: number): number {
  return Math.round(Math.min(growth.most, Math.max(growth.least, (room / live) * 100)));
}

/**
 * Keeps a server's memory near what it uses: objects that are stored live for long and what requests leave behind does not, so a heap that
 * is let grow to several times its live size is mostly garbage. Takes effect for collections from now on.
 */
export function keepHeapSmall(): void {
  setFlagsFromString(`--heap-growing-percent=${growth.least}`);
}

/** The same for an API server, which makes much garbage: a heap that is small has some room beyond that. */
export function keepServerHeapSmall(): void {
  const adjust = (): void =>
    setFlagsFromString(`--heap-growing-percent=${growthOf(getHeapStatistics().used_heap_size, serverRoom)}`);
  adjust();
  // What is used right after a collection of the whole heap is what is live.
  new PerformanceObserver((list) => {
    if (list.getEntries().some(isOfWholeHeap)) adjust();
  }).observe({ entryTypes: ["gc"] });
}

function isOfWholeHeap(entry: object): boolean {
  const { detail } = entry as { readonly detail?: Partial<NodeGCPerformanceDetail> };
  return detail?.kind === constants.NODE_PERFORMANCE_GC_MAJOR;
}
