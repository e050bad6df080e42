/** Where events are kept: Pekko Persistence over JDBC, events as protobuf. */
@NullMarked
package org.ftcluster.coordinator.journal;

import org.jspecify.annotations.NullMarked;
