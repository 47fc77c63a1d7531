/**
 * Milliseconds for which changes of something with so many pods are collected. One pass costs as much as there are pods, so a
 * large ReplicaSet or Service whose pods come up one by one would else cost the square of that; small ones never wait.
 */
export const batchPeriod = (pods: number): number => (pods <= 100 ? 0 : Math.min(500, pods / 10));
