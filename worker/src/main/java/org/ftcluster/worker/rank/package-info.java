/** Actors that run a rank in a worker. */
@NullMarked
package org.ftcluster.worker.rank;

import org.jspecify.annotations.NullMarked;
