/** Talking gRPC to a coordinator. */
@NullMarked
package org.ftcluster.cli.client;

import org.jspecify.annotations.NullMarked;
