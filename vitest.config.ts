import { defineConfig } from "vitest/config";

// `unit` stands beside the code and needs nothing from the machine. `system` crosses rooms and uses the real kernel and clients.
export default defineConfig({
  test: {
    // Modules are transformed once, not for each of the files that import them: a third of what a small suite takes.
    experimental: { fsModuleCache: true },
    projects: [
      {
        test: {
          name: "unit",
          include: ["src/**/*.test.ts"],
          environment: "node",
          testTimeout: 20_000,
          // One process for many files: three times as fast. No test may leave anything global behind.
          isolate: false,
          maxWorkers: 2,
        },
      },
      {
        test: {
          name: "system",
          include: ["test/**/*.test.ts"],
          environment: "node",
          testTimeout: 180_000,
          hookTimeout: 180_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
