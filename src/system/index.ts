export * from "./clock.ts";
export * from "./command.ts";
export * from "./component.ts";
export * from "./log.ts";
