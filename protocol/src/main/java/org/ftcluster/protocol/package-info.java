/**
 * What coordinators, workers and clients agree on: the job file, the gRPC API and the actors'
 * messages.
 */
@NullMarked
package org.ftcluster.protocol;

import org.jspecify.annotations.NullMarked;
