/** The gRPC API that clients use. */
@NullMarked
package org.ftcluster.coordinator.api;

import org.jspecify.annotations.NullMarked;
