import { startHaproxy } from "../../src/dataplane/index.ts";
import { dataPlaneContract } from "./contract/index.ts";

dataPlaneContract("haproxy", startHaproxy);
