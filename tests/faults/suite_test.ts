/** All faults, one after the other: see README.md beside this file. */
import "./cases/control_plane_killed.ts";
import "./cases/control_plane_stopped.ts";
import "./cases/network.ts";
import "./cases/routers_killed.ts";
import "./cases/poison.ts";
import "./cases/hostile_control_plane.ts";
import "./cases/wall_clock.ts";
import "./cases/swaps.ts";
import "./cases/rolling_restart.ts";
import "./cases/store_file.ts";
import "./cases/saved_config.ts";
import "./cases/two_control_planes.ts";
import "./cases/names.ts";
import "./cases/hostile_routers.ts";
import "./cases/endpoints.ts";
import "./cases/open_files.ts";
