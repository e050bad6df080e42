/** How a process becomes a node of the Pekko cluster. */
@NullMarked
package org.ftcluster.protocol.cluster;

import org.jspecify.annotations.NullMarked;
